"""What is asked of the repository, and what it answers, in plain words."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from .segments import SEGMENT_SIZE, Segment, format_lsn


class Reason(StrEnum):
    """Why a moment is not proven."""

    NO_STANZA = "no_stanza"  # nothing of this server is in the repository
    NO_BASE_BACKUP = "no_base_backup"  # none ended before the moment
    BACKUP_MISSING = "backup_missing"  # the base backup, or one that it builds on, is gone or was faulty
    SEGMENT_MISSING = "segment_missing"  # a hole: later segments are there
    SEGMENT_EMPTY = "segment_empty"  # an object of no bytes
    SEGMENT_AMBIGUOUS = "segment_ambiguous"  # two objects for one segment
    NOT_YET_ARCHIVED = "not_yet_archived"  # the archive has not come so far
    HISTORY_MISSING = "history_missing"  # where the timeline branched off is not archived
    OTHER_TIMELINE = "other_timeline"  # base backups are on other ways only
    TIMELINE_LEFT = "timeline_left"  # not archived before the server went on along another way
    OTHER_SYSTEM = "other_system"  # the repository is another server's
    OTHER_VERSION = "other_version"  # the server has been upgraded to another version of PostgreSQL
    DAMAGED = "damaged"  # a restore found what no listing shows


@dataclass(frozen=True)
class Target:
    """A moment of a server: everything up to ``lsn``, as its ``timeline`` had it."""

    system_identifier: int
    timeline: int
    lsn: int
    named: bool = True  # a restore point's record ends there; without one, recovery reads a record past it
    backup: str = ""  # the label of the base backup to start from; empty: the best one

    @property
    def last_number(self) -> int:
        """The number of the last segment that recovery reads."""
        if self.named:
            return Segment.ending(self.timeline, self.lsn).number
        # It stops when it has read the next record, which may go on in the next segment.
        return self.lsn // SEGMENT_SIZE + 1


@dataclass(frozen=True)
class Proof:
    """From which base backup and by which WAL a moment can be reached; ``timelines`` from the oldest to the newest."""

    backup: str
    first_segment: str
    last_segment: str
    segments: int
    timelines: tuple[int, ...]

    @property
    def timeline(self) -> int:
        """The timeline along which to recover."""
        return self.timelines[-1]


@dataclass(frozen=True)
class Unproven:
    """Why a moment cannot be reached; ``waiting``: it is expected to become reachable by itself."""

    reason: Reason
    message: str
    hint: str = ""
    waiting: bool = False


Verdict = Proof | Unproven


def verdict_text(verdict: Verdict) -> str:
    """Return a verdict in a sentence, with its hint on a line of its own."""
    if isinstance(verdict, Unproven):
        return f"{verdict.message}\n{verdict.hint}" if verdict.hint else verdict.message
    way = " > ".join(str(timeline) for timeline in verdict.timelines)
    span = f"{verdict.segments} WAL segments, {verdict.first_segment} to {verdict.last_segment}, timeline {way}"
    return f"proven: base backup {verdict.backup} and {span}"


def no_stanza(stanza: str) -> Unproven:
    """The repository has no such stanza."""
    return Unproven(
        Reason.NO_STANZA,
        f"the repository holds nothing of the stanza {stanza}",
        "The database server creates it when it starts; check its steward and the repository's path.",
        waiting=True,
    )


def other_system(target: Target, found: int) -> Unproven:
    """The stanza was never this server's."""
    return Unproven(
        Reason.OTHER_SYSTEM,
        f"the repository is of the server {found}, and the moment is of {target.system_identifier}",
        "Check the server's stanza, bucket and path.",
    )


def other_version(then: str, now: str) -> Unproven:
    """The stanza was that server's, under a version whose data nothing here can run on."""
    return Unproven(
        Reason.OTHER_VERSION,
        f"the server had PostgreSQL {then} at this moment, and has {now} by now",
        "Restore the repository by hand with that version, or take a later moment.",
    )


def no_base_backup(target: Target) -> Unproven:
    """Every base backup ended later."""
    return Unproven(
        Reason.NO_BASE_BACKUP,
        f"no base backup ended before {format_lsn(target.lsn)}",
        "A moment can be restored from the end of the first base backup on.",
    )


def backup_missing(label: str) -> Unproven:
    """What is to be started from, or what that builds on, is not whole."""
    return Unproven(
        Reason.BACKUP_MISSING,
        f"the base backup {label} is gone, incomplete or was faulty",
        "It has expired, or was deleted past pgBackRest.",
    )


def other_timeline(target: Target) -> Unproven:
    """Base backups ended before it, none of them on its way."""
    return Unproven(
        Reason.OTHER_TIMELINE,
        f"no base backup is on the way to {format_lsn(target.lsn)} of timeline {target.timeline}",
        "The server has been promoted or taken back since: what it did on another timeline does not lead there.",
    )


def before_timeline(target: Target, start: int) -> Unproven:
    """The timeline is younger than the moment."""
    return Unproven(
        Reason.OTHER_TIMELINE,
        f"timeline {target.timeline} begins at {format_lsn(start)}, after {format_lsn(target.lsn)}",
    )


def history_missing(target: Target, *, waiting: bool) -> Unproven:
    """Where the target's timeline branched off is unknown."""
    return Unproven(
        Reason.HISTORY_MISSING,
        f"the history of timeline {target.timeline} is not archived",
        waiting=waiting,
    )


def segment_missing(segment: Segment) -> Unproven:
    """A hole in the archive."""
    return Unproven(
        Reason.SEGMENT_MISSING,
        f"the WAL segment {segment.name} is missing in the repository",
        "Take a base backup: moments after it can be restored again.",
    )


def segment_empty(segment: Segment) -> Unproven:
    """An object without content."""
    return Unproven(
        Reason.SEGMENT_EMPTY,
        f"the WAL segment {segment.name} is empty in the repository",
        "Take a base backup: moments after it can be restored again.",
    )


def segment_ambiguous(segment: Segment, count: int) -> Unproven:
    """Several objects for one segment."""
    return Unproven(
        Reason.SEGMENT_AMBIGUOUS,
        f"the WAL segment {segment.name} is in the repository {count} times",
        "Two servers may have archived to one stanza. Find out which is right before anything is restored.",
    )


def timeline_left(target: Target) -> Unproven:
    """The archive ends before it, and the server writes elsewhere by now."""
    return Unproven(
        Reason.TIMELINE_LEFT,
        f"the server went on from before {format_lsn(target.lsn)} of timeline {target.timeline}, which is not archived",
        "It was promoted or taken back; what it had not archived by then is lost. Try again, or take another moment.",
    )


def not_yet_archived(segment: Segment, end: Segment) -> Unproven:
    """The archive ends before the last segment that is needed."""
    count = end.number - segment.number + 1
    which = segment.name if count == 1 else f"{segment.name} to {end.name}"
    return Unproven(Reason.NOT_YET_ARCHIVED, f"waiting for the WAL segment {which} to be archived", waiting=True)
