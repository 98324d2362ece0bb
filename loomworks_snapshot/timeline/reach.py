"""How far each base backup leads: to the newest archived segment, or to a hole in the archive."""

from __future__ import annotations

from dataclasses import dataclass

from ..repository.catalog import Backup
from ..repository.proof import Prover
from ..repository.segments import SEGMENT_SIZE, Segment
from ..repository.verdict import Proof, Target


@dataclass(frozen=True)
class Reach:
    """What can be reached from one base backup."""

    label: str
    stopped: float  # seconds since 1970: the first moment
    position: int  # where the backup ended
    until: int | None = None  # the position up to which its WAL is whole; None: as far as the archive goes
    useless: bool = False  # not even its own end: it is incomplete, faulty, or of another way


def reaches(prover: Prover, newest: Segment) -> list[Reach]:
    """Return how far each base backup of the present server leads, the oldest first.

    Those of the server as it was before an upgrade lead to its snapshots, and to no time: a time names no server.

    :param newest: the newest segment that is archived
    :raises RepositoryUnreachable, RepositoryDenied, WrongKey, RepositoryDamaged, UnknownFormat: when nobody can tell
    """
    if not prover.catalog:
        return []
    own = prover.catalog.backups_of(prover.catalog.system_identifier)
    return [_reach(prover, backup, newest) for backup in own]


def _reach(prover: Prover, backup: Backup, newest: Segment) -> Reach:
    known = Reach(backup.label, backup.stopped, backup.lsn_stop)
    first, last = Segment.ending(0, backup.lsn_stop).number, newest.number
    if last < first or _leads_to(prover, backup, newest.timeline, last):
        return known
    if not _leads_to(prover, backup, newest.timeline, first):
        return Reach(backup.label, backup.stopped, backup.lsn_stop, useless=True)
    while last - first > 1:  # it leads to the first and not to the last
        middle = (first + last) // 2
        if _leads_to(prover, backup, newest.timeline, middle):
            first = middle
        else:
            last = middle
    return Reach(backup.label, backup.stopped, backup.lsn_stop, until=last * SEGMENT_SIZE)


def _leads_to(prover: Prover, backup: Backup, timeline: int, number: int) -> bool:
    """Tell whether all WAL through this segment is there, on the way to ``timeline`` or on the backup's own."""
    system, end = prover.catalog.history(backup.history_id), (number + 1) * SEGMENT_SIZE
    lsn = max(backup.lsn_stop, end if number > Segment.ending(0, backup.lsn_stop).number else backup.lsn_stop)
    if not system:
        return False
    ways = dict.fromkeys((timeline, backup.timeline))
    targets = (Target(system.system_identifier, way, lsn, backup=backup.label) for way in ways)
    return any(isinstance(prover.prove(target), Proof) for target in targets)
