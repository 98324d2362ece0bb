"""What an empty volume means, by what pgBackRest 2.55 says of the stanza."""

import pytest
from steward.volume import meaning

HISTORY = [{"id": 1, "repo-key": 1, "system-id": 7576000000000000001, "version": "17"}]
SEGMENTS = [{"database": {"id": 1, "repo-key": 1}, "id": "17-1", "max": None, "min": None}]
UNKNOWN = {
    "name": "main",
    "backup": [],
    "db": [],
    "archive": [],
    "status": {"code": 1, "message": "missing stanza path"},
}
BARE = {**UNKNOWN, "db": HISTORY, "archive": SEGMENTS, "status": {"code": 2, "message": "no valid backups"}}
KEPT = {**BARE, "backup": [{"label": "20261127-120000F", "type": "full"}], "status": {"code": 0, "message": "ok"}}


@pytest.mark.parametrize(
    ("stanzas", "expected"),
    [([], "new"), ([UNKNOWN], "new"), ([BARE], "bare"), ([{**BARE, "archive": []}], "bare"), ([KEPT], "lost")],
)
def test_meaning(stanzas, expected):
    assert meaning(stanzas) == expected
