"""What can go wrong between the control plane and a Job on a tenant's files, each with a stable code."""

from __future__ import annotations

from ...loomworks_tenant.errors import PermanentError, RetryableError


class PlaceUnset(PermanentError):
    """The cluster does not say where files are backed up to."""

    code = "files_place_unset"

    def __init__(self, cluster: str = "the cluster") -> None:
        super().__init__(
            f"{cluster} does not say where files are backed up to",
            "Fill in endpoint, bucket, region and account on the cluster's form.",
        )


class KeyMissing(PermanentError):
    """A tenant's key is not there: what was encrypted with it cannot be read."""

    code = "files_key_missing"


class VolumeHeld(PermanentError):
    """The volume admits one pod only, and the tenant's Odoo is that."""

    code = "files_volume_held"


class FilesLost(PermanentError):
    """Files that the database needs are neither on the volume nor whole in the object store."""

    code = "files_lost"


class FilesJobFailed(PermanentError):
    """The Job ended with an error that another attempt would meet again; ``code`` is that of the error."""

    def __init__(self, message: str, hint: str = "", code: str = "files_job_failed") -> None:
        super().__init__(message, hint)
        self.code = code


class FilesStoreAway(RetryableError):
    """The Job ended because the object store did not answer it or had no room; ``code`` is that of the error."""

    def __init__(self, message: str, hint: str, code: str) -> None:
        super().__init__(message, hint)
        self.code = code


class FilesJobBrokeOff(RetryableError):
    """The Job ended with an error that may not come again."""

    code = "files_job_broke_off"
