"""What can go wrong with a file for a customer, each with a stable code."""

from __future__ import annotations

from ...loomworks_tenant.errors import PermanentError, RetryableError


class NotAnOdoo(PermanentError):
    """The restored database is not that of an Odoo: there is nothing that a database manager could take."""

    code = "not_an_odoo"


class FileGone(PermanentError):
    """The file is not in the object store, or not the one that was made."""

    code = "export_gone"


class FileTooLarge(PermanentError):
    """The file needs more parts than S3 takes."""

    code = "export_too_large"


class FilesChanged(RetryableError):
    """One of the tenant's files went from the object store while it was read; another run names it as missing."""

    code = "export_files_changed"
