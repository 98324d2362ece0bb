"""What can go wrong with a restore, each with a stable code."""

from __future__ import annotations

from ...loomworks_tenant.errors import PermanentError, RetryableError


class NoBaseBackup(PermanentError):
    """No base backup ends before the target, or the one asked for is gone."""

    code = "no_base_backup"


class TargetNotReached(PermanentError):
    """The WAL in the repository ends, or breaks off, before the target."""

    code = "target_not_reached"


class WalDamaged(PermanentError):
    """A WAL segment in the repository cannot be unpacked, is not what its checksum says, or is of another server."""

    code = "wal_damaged"


class WalNotFiltered(PermanentError):
    """A WAL segment is not as the filter knows it; it can be replayed whole all the same."""

    code = "wal_not_filtered"


class DatabaseNotThere(PermanentError):
    """The server had no database of this name at the target."""

    code = "database_not_there"


class CopiedByFile(PermanentError):
    """After the base backup the database was made of another one's files (FILE_COPY): WAL does not have them."""

    code = "copied_by_file"


class FilesMissing(PermanentError):
    """What was fetched is not complete; a server started on it would lose data without a word."""

    code = "files_missing"


class ScratchFull(RetryableError):
    """The scratch volume is too small."""

    code = "scratch_full"


class CheckFailed(PermanentError):
    """The restored database has damaged tables or indexes, or some that cannot be read whoever tries again."""

    code = "check_failed"


class ProgramFailed(RetryableError):
    """One of PostgreSQL's or pgBackRest's programs failed, or the scratch server did.

    ``exit_code`` is the program's (below 0: the signal that ended it), ``said`` all that it has printed, where known.
    """

    code = "program_failed"

    def __init__(self, message: str, hint: str = "", *, exit_code: int | None = None, said: str = "") -> None:
        super().__init__(message, hint)
        self.exit_code = exit_code
        self.said = said


class LoadFailed(PermanentError):
    """The restored database could not be loaded into the server."""

    code = "load_failed"
