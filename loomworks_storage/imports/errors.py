"""What can go wrong between the control plane and an import's Jobs, each with a stable code."""

from __future__ import annotations

from ...loomworks_tenant.errors import PermanentError, RetryableError


class SourcesUnset(PermanentError):
    """The cluster does not say where sources of imports are, or which image has the program."""

    code = "import_sources_unset"


class ImportNotWhole(PermanentError):
    """Files that the database needs have not arrived, or files of the source are not what their names say."""

    code = "import_not_whole"


class ImportJobFailed(PermanentError):
    """A Job ended with an error that another attempt would meet again; ``code`` is that of the error."""

    def __init__(self, message: str, hint: str = "", code: str = "import_job_failed") -> None:
        super().__init__(message, hint)
        self.code = code


class ImportJobBrokeOff(RetryableError):
    """A Job ended with an error that may not come again."""

    code = "import_job_broke_off"
