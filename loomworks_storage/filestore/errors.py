"""What can go wrong between a tenant's files and their copies in S3, each with a stable code."""

from __future__ import annotations

from ...loomworks_tenant.errors import PermanentError, RetryableError


class SettingMissing(PermanentError):
    """The environment or the request does not say something that is needed, or says it in no known form."""

    code = "filestore_setting_missing"


# --- the object store -------------------------------------------------------------------------


class StoreUnreachable(RetryableError):
    """The object store did not answer, or answered that it is overloaded or failing."""

    code = "filestore_unreachable"


class StoreFull(RetryableError):
    """The object store has no room left, or the bucket's quota is used up."""

    code = "filestore_full"


class StoreDenied(PermanentError):
    """The object store refused the account, or there is no such bucket."""

    code = "filestore_denied"


class ObjectMissing(PermanentError):
    """An object is not in the store."""

    code = "object_missing"


class ObjectShort(ObjectMissing):
    """An object is in the store, and ends before what is asked for begins."""

    code = "object_short"


class NotProven(RetryableError):
    """The store does not hold, or does not list, what was written to it; no manifest was written."""

    code = "filestore_not_proven"


class Busy(RetryableError):
    """Others work on the same objects whom this work excludes."""

    code = "filestore_busy"


class LeaseOver(RetryableError):
    """The work has taken so long that others would take it for dead."""

    code = "filestore_lease_over"


# --- an object --------------------------------------------------------------------------------


class Unreadable(PermanentError):
    """An object is there and does not give back what was stored in it."""

    code = "object_unreadable"


class ObjectDamaged(Unreadable):
    """An object is cut, changed, or another one's: its authentication fails."""

    code = "object_damaged"


class WrongKey(Unreadable):
    """An object was encrypted with another key than the one given."""

    code = "wrong_key"


class UnknownFormat(Unreadable):
    """An object was written by a version whose format this engine does not know."""

    code = "unknown_format"


# --- the volume -------------------------------------------------------------------------------


class FolderMissing(PermanentError):
    """The folder of the database's files is not there, or may not be read."""

    code = "filestore_folder_missing"


class WrongContent(PermanentError):
    """A file's content is not what its name says."""

    code = "wrong_content"


class VolumeFull(RetryableError):
    """The volume that is restored to has no room left."""

    code = "volume_full"


class VolumeFailed(PermanentError):
    """The volume cannot be read or written."""

    code = "volume_failed"
