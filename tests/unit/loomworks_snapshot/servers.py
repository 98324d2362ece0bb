"""What a server may say of itself and its repository, for tests."""

from dataclasses import replace
from datetime import UTC, datetime

from addons.loomworks_snapshot.backup.base_backup import BaseBackup
from addons.loomworks_snapshot.backup.work import SETTINGS, Archive, Look, Work
from addons.loomworks_snapshot.repository.segments import Segment

NOW = 1_800_000_000
HOUR, DAY = 3600, 86_400
SYSTEM = "7710658196138766312"
FIT = {**dict.fromkeys(SETTINGS, "on"), "wal_level": "replica"}


def stamp(moment):
    return f"{datetime.fromtimestamp(moment, UTC):%Y%m%d-%H%M%S}"


def full(started, lsn=1 << 30, **changes):
    return backup(f"{stamp(started)}F", "full", "", started, lsn, **changes)


def incr(prior, started, lsn=5 << 28, **changes):
    made = backup(f"{prior.set_label}_{stamp(started)}I", "incr", prior.label, started, lsn, **changes)
    return replace(made, references=tuple(dict.fromkeys((*prior.references, prior.label))))


def backup(label, kind, prior, started, lsn, timeline=1, **changes):
    values = {
        "references": (),
        "started": started,
        "stopped": started + 10,
        "lsn_start": lsn,
        "lsn_stop": lsn + 1000,
        "wal_start": Segment.holding(timeline, lsn).name,
        "wal_stop": Segment.holding(timeline, lsn + 1000).name,
        "system_identifier": SYSTEM,
        "size": 1000,
        "repository_delta": 100,
        "repository_size": 100,
    }
    return BaseBackup(label=label, kind=kind, prior=prior, **{**values, **changes})


def work(kind, ago=HOUR, code=0, **changes):
    """Return work that ended ``ago`` seconds before NOW."""
    values = {"id": 1, "argument": "", "asked": NOW - ago - 2, "started": NOW - ago - 1, "finished": NOW - ago}
    return Work(**{"kind": kind, **values, "exit_code": code, "message": "", "label": "", **changes})


def pending(kind, **changes):
    return work(kind, code=None, started=None, finished=None, **changes)


def archive(**changes):
    values = {"lag_seconds": 0, "lag_bytes": 0, "failed_count": 0, "last_archived_wal": "0" * 24}
    return Archive(**{**values, "last_archived": NOW - 10, "last_failed": None, "timeout": 60, **changes})


def look(*backups, **changes):
    values = {
        "now": NOW,
        "lsn": 3 << 29,
        "timeline": 1,
        "system_identifier": SYSTEM,
        "settings": FIT,
        "databases_elsewhere": 0,
        "archive": archive(),
        "work": (),
        "backups": backups,
        "info_taken": NOW - 60,
        "info_tried": NOW - 60,
        "info_error": "",
        "backup_bytes": 1000,
        "archive_bytes": 2000,
    }
    return Look(**{**values, **changes})
