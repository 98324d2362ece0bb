"""What is wrong with a server's backups, in words: one line a problem, with what to do."""

from __future__ import annotations

from collections.abc import Iterator

from .base_backup import KINDS, usable
from .schedule import DAY, MIB, Policy, failures
from .work import Look

ARCHIVE_LAG = 300  # seconds: five times the longest that a segment waits to be full (archive_timeout)
NOT_TAKEN_UP = 900  # seconds after which work that nobody has begun is a problem, unless other work is being done
INFO_AGE = 1800  # seconds without a look at the repository, unless work is being done
WANTED_SETTINGS = {
    "data_checksums": ("on", "initialise it anew with --data-checksums, or run pg_checksums --enable while it is down"),
    "full_page_writes": ("on", "set full_page_writes = on"),
    "archive_mode": ("on", "set archive_mode = on and start it anew"),
    "fsync": ("on", "set fsync = on"),
}
WAL_LEVELS = ("replica", "logical")


def problems(look: Look, policy: Policy) -> list[str]:
    """Return what keeps this server's tenants from being restorable; nothing when all is well."""
    return [*_settings(look), *_archive(look), *_repository(look), *_backups(look, policy), *_work(look)]


def _settings(look: Look) -> Iterator[str]:
    for name, (wanted, remedy) in WANTED_SETTINGS.items():
        if look.settings[name] != wanted:
            yield f"{name} is {look.settings[name]}, and restoring one tenant needs {wanted}: {remedy}"
    if look.settings["wal_level"] not in WAL_LEVELS:
        yield f"wal_level is {look.settings['wal_level']}: set wal_level = replica and start it anew"
    if look.databases_elsewhere:
        yield f"{look.databases_elsewhere} database(s) are in a tablespace of their own: move them to pg_default"


def _archive(look: Look) -> Iterator[str]:
    archive = look.archive
    if archive.lag_seconds >= ARCHIVE_LAG:
        waiting = f"{archive.lag_bytes // MIB} MiB of WAL wait for the repository"
        why = ", and the last attempt failed" if archive.failing else ""
        yield f"{waiting}, the oldest for {archive.lag_seconds / 60:.0f} minutes{why}: see the server's log"


def _repository(look: Look) -> Iterator[str]:
    if look.info_error:
        yield f"the repository cannot be read: {first_line(look.info_error)}"
    elif _steward_is_silent(look):
        yield "the steward beside the server does not answer: see its container's log"


def _steward_is_silent(look: Look) -> bool:
    if any(one.started and not one.finished for one in look.work):
        return False
    waiting = [one.asked for one in look.work if not one.started]
    is_left_waiting = bool(waiting) and look.now - min(waiting) > NOT_TAKEN_UP
    return is_left_waiting or look.info_tried is None or look.now - look.info_tried > INFO_AGE


def _backups(look: Look, policy: Policy) -> Iterator[str]:
    own = [one for one in look.backups if one.system_identifier == look.system_identifier]
    if own and own[-1].failed:
        yield f"the base backup {own[-1].label} met pages with wrong checksums: see its log, the disk may be failing"
    bases = usable(own)
    if not bases:
        yield "there is no base backup from which anything could be restored"
    elif look.now - bases[-1].stopped > 2 * policy.incremental_every:
        yield f"the last base backup is {(look.now - bases[-1].stopped) / DAY:.0f} days old"


def _work(look: Look) -> Iterator[str]:
    for kinds, what in (
        (KINDS, "base backup"),
        (("expire",), "expiry"),
        (("check",), "check"),
        (("verify",), "verify"),
    ):
        failed = failures([one for one in look.work if one.kind in kinds])
        if failed:
            times = f"the last {len(failed)} times" if len(failed) > 1 else "the last time"
            yield f"{what} failed {times}: {first_line(failed[-1].message)}"


def first_line(message: str) -> str:
    """Return the line that says what happened: the first error, else the first line."""
    lines = message.splitlines() or [""]
    return next((line for line in lines if line.startswith("ERROR") or "status: invalid" in line), lines[0]).strip()
