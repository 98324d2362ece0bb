"""What a server may say of itself, as the engine hands it to the models."""

from ..backup.work import SETTINGS, Archive, Look, Work

NOW = 1_800_000_000
DAY = 86_400
SYSTEM = "7710658196138766312"
LABEL = "20270115-080000F"


def info_of(label=LABEL, started=NOW - 3600, kind="full", prior=None):
    """Return a backup as `pgbackrest info` writes it."""
    return {
        "label": label,
        "type": kind,
        "prior": prior,
        "reference": [prior] if prior else None,
        "timestamp": {"start": started, "stop": started + 40},
        "lsn": {"start": "0/B000028", "stop": "0/C000050"},
        "archive": {"start": "00000001000000000000000B", "stop": "00000001000000000000000C"},
        "database": {"id": 1, "repo-key": 1},
        "info": {"size": 39332177, "delta": 39332177, "repository": {"delta": 2981768}},
        "error": False,
    }


def work(number=7, kind="full", code=0, label="", message="", **changes):
    """Return work that has ended."""
    values = {"id": number, "kind": kind, "argument": "", "asked": NOW - 3610, "started": NOW - 3605}
    values |= {"finished": NOW - 3500, "exit_code": code, "message": message, "label": label}
    return Work(**{**values, **changes})


def look(*items, **changes):
    """Return a look at a server whose repository holds these backups."""
    from ..backup.base_backup import read_info

    stanza = {"db": [{"id": 1, "system-id": int(SYSTEM)}], "backup": list(items)}
    values = {
        "now": NOW,
        "lsn": 0xC000100,
        "timeline": 1,
        "system_identifier": SYSTEM,
        "settings": {**dict.fromkeys(SETTINGS, "on"), "wal_level": "replica"},
        "databases_elsewhere": 0,
        "archive": Archive(12.5, 2 << 24, 3, "00000001000000000000000C", NOW - 30, None, 60),
        "work": (),
        "backups": tuple(read_info([stanza])),
        "info_taken": NOW - 60,
        "info_tried": NOW - 60,
        "info_error": "",
        "backup_bytes": 3_000_000,
        "archive_bytes": 9_000_000,
    }
    return Look(**{**values, **changes})
