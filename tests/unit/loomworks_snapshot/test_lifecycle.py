"""What follows from a verdict, case by case."""

import pytest
from addons.loomworks_snapshot.lifecycle import (
    LAST_LOOK,
    NO_BACKUP_LOOK,
    PATIENCE,
    SETTLE,
    SETTLE_LOOK,
    Next,
    Seen,
    State,
    judge,
    look_after,
)
from addons.loomworks_snapshot.repository.verdict import Proof, Reason, Unproven, verdict_text

PROOF = Proof("20261121-000000F", "000000010000000000000002", "000000010000000000000004", 3, (1, 2))
WAITING = Unproven(Reason.NOT_YET_ARCHIVED, "waiting", waiting=True)
HOLE = Unproven(Reason.SEGMENT_MISSING, "missing", "hint")
NO_BACKUP = Unproven(Reason.NO_BASE_BACKUP, "none")
LATE = PATIENCE + 1


@pytest.mark.parametrize(
    ("seen", "verdict", "expected"),
    [
        (Seen(State.CREATING, 1), PROOF, Next(State.READY)),
        (Seen(State.READY, 1), PROOF, Next(State.READY)),
        (Seen(State.FAILED, 1), PROOF, Next(State.READY)),
        (Seen(State.RESTORING, 1), PROOF, Next(State.RESTORING)),
        (Seen(State.CREATING, 1), WAITING, Next(State.CREATING, 0.1)),
        (Seen(State.CREATING, LATE), WAITING, Next(State.CREATING, 1.0, problem=True)),
        (Seen(State.READY, 1), WAITING, Next(State.FAILED, problem=True)),
        (Seen(State.CREATING, 1), HOLE, Next(State.CREATING, SETTLE_LOOK, problem=True)),
        (Seen(State.CREATING, 1, SETTLE - 1), HOLE, Next(State.CREATING, SETTLE_LOOK, problem=True)),
        (Seen(State.CREATING, 1, SETTLE), HOLE, Next(State.FAILED, problem=True)),
        (Seen(State.READY, 1), HOLE, Next(State.FAILED, problem=True)),
        (Seen(State.FAILED, 1), HOLE, Next(State.FAILED, problem=True)),
        (Seen(State.RESTORING, 1), HOLE, Next(State.RESTORING, problem=True)),
        (Seen(State.CREATING, 1), NO_BACKUP, Next(State.CREATING, NO_BACKUP_LOOK, retake=True)),
        (Seen(State.CREATING, LATE), NO_BACKUP, Next(State.CREATING, NO_BACKUP_LOOK, problem=True, retake=True)),
        (Seen(State.CREATING, 1, SETTLE, fixed=True), NO_BACKUP, Next(State.FAILED, problem=True)),
    ],
)
def test_verdict_leads_to(seen, verdict, expected):
    assert judge(seen, verdict) == expected


def test_looks_become_rarer_the_longer_it_takes():
    pauses = [look_after(waited) for waited in (0, 29, 31, 200, 3600, 86400)]
    assert pauses == [0.1, 0.1, 1.0, 10.0, LAST_LOOK, LAST_LOOK]


def test_verdicts_are_sentences():
    assert verdict_text(HOLE) == "missing\nhint"
    assert verdict_text(WAITING) == "waiting"
    assert "20261121-000000F and 3 WAL segments" in verdict_text(PROOF)
    assert "timeline 1 > 2" in verdict_text(PROOF)
