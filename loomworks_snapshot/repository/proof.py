"""Prove from the repository alone that a moment of a server can be restored.

Proven is a moment when the repository holds a base backup that ended before it, everything that this backup builds
on, and every WAL segment from the backup's first through the one that recovery reads last. pgBackRest's own
``info`` and ``verify`` report "ok" with a segment missing in the middle.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from . import catalog, verdict
from .archive import Archive
from .catalog import Backup, Catalog, History
from .errors import ObjectMissing
from .segments import Segment
from .store import Store
from .timelines import Path
from .verdict import Proof, Target, Unproven, Verdict

MANIFESTS = ("backup.manifest", "backup.manifest.copy")


def prove(store: Store, targets: Iterable[Target]) -> list[Verdict]:
    """Return the verdict on each target, in their order.

    :raises RepositoryUnreachable, RepositoryDenied, WrongKey, RepositoryDamaged, UnknownFormat: when there can be none
    """
    prover = Prover(store)
    return [prover.prove(target) for target in targets]


class Prover:
    """One look at a repository, for any number of targets; it keeps what it has listed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._archives: dict[str, Archive] = {}
        self._chains: dict[tuple[str, int], _Chain] = {}
        self._manifests: dict[str, bool] = {}

    @cached_property
    def catalog(self) -> Catalog | None:
        """What the stanza says of itself, or None when there is none."""
        try:
            return catalog.read(self._store)
        except ObjectMissing:
            return None

    def prove(self, target: Target) -> Verdict:
        """Return the verdict on one target."""
        if not self.catalog:
            return verdict.no_stanza(self._store.location.stanza)
        histories = [one for one in self.catalog.histories if one.system_identifier == target.system_identifier]
        if not histories:
            return verdict.other_system(target, self.catalog.system_identifier)
        if not any(one.version == self.catalog.version for one in histories):
            return verdict.other_version(histories[-1].version, self.catalog.version)
        return _best(self._attempts(target, histories))

    def backups_for(self, target: Target, path: Path, history: History) -> list[Backup]:
        """Return the base backups from which ``path`` leads to the target, the shortest way first."""
        fitting = [
            one
            for one in self.catalog.backups
            if one.history_id == history.number
            and target.backup in ("", one.label)
            and one.lsn_stop <= target.lsn
            and path.holds(one.timeline, one.lsn_stop)
        ]
        return sorted(fitting, key=lambda one: (one.lsn_stop, one.label), reverse=True)

    def _attempts(self, target: Target, histories: Sequence[History]) -> Iterator[Verdict]:
        """Yield a verdict for each way: along the target's own timeline, then along those that branched off later."""
        for history in reversed(histories):
            archive = self._archive(history)
            own = archive.path(target.timeline)
            yield self._along(target, own, history) if own else self._without_history(target, history)
            for timeline in archive.known_timelines:
                path = archive.path(timeline) if timeline != target.timeline else None
                if path and path.holds(target.timeline, target.lsn):
                    yield self._along(target, path, history)

    def _along(self, target: Target, path: Path, history: History) -> Verdict:
        if path.timeline == target.timeline and target.lsn < path.start:
            return verdict.before_timeline(target, path.start)
        backups = self.backups_for(target, path, history)
        for backup in backups:
            if not self._lacking(backup):
                found = self._chain(path, history).verdict(backup, target.last_number)
                return verdict.timeline_left(target) if self._is_lost(found, target, path, history) else found
        return verdict.backup_missing(self._lacking(backups[0])) if backups else self._no_backup(target, path, history)

    def _is_lost(self, found: Verdict, target: Target, path: Path, history: History) -> bool:
        """Tell whether what is awaited never comes: a server that branched off later went on without the target."""
        if isinstance(found, Proof) or not found.waiting:
            return False
        archive = self._archive(history)
        later = (archive.path(timeline) for timeline in archive.known_timelines if timeline > path.timeline)
        return any(not one.holds(target.timeline, target.lsn) for one in later)

    def _lacking(self, backup: Backup) -> str:
        """Return the label of a backup that this one needs and that is not whole, or nothing."""
        return next((label for label in (backup.label, *backup.references) if not self._is_whole(label)), "")

    def _is_whole(self, label: str) -> bool:
        found = self.catalog.get(label)
        if not found or found.failed:
            return False
        if label not in self._manifests:
            items = self._store.list(f"backup/{self._store.location.stanza}/{label}", MANIFESTS[0])
            self._manifests[label] = any(item.size and item.name.rpartition("/")[2] in MANIFESTS for item in items)
        return self._manifests[label]

    def _no_backup(self, target: Target, path: Path, history: History) -> Unproven:
        if target.backup and not self.catalog.get(target.backup):
            return verdict.backup_missing(target.backup)
        own = self.catalog.backups_of(history.system_identifier)
        earlier = [one for one in own if one.lsn_stop <= target.lsn]
        if any(path.end_of(one.timeline) is None or not path.holds(one.timeline, one.lsn_stop) for one in earlier):
            return verdict.other_timeline(target)
        return verdict.no_base_backup(target)

    def _archive(self, history: History) -> Archive:
        key = history.archive_id
        return self._archives.setdefault(key, Archive(self._store, key))

    def _chain(self, path: Path, history: History) -> _Chain:
        key = (history.archive_id, path.timeline)
        return self._chains.setdefault(key, _Chain(self._archive(history), path, self._is_over(history)))

    def _is_over(self, history: History) -> bool:
        """Tell whether the stanza is another server's by now: what this one has not archived never comes."""
        return history.archive_id != self.catalog.archive_id

    def _without_history(self, target: Target, history: History) -> Unproven:
        arrived = self._archive(history).sizes(Segment(target.timeline, target.last_number))
        return verdict.history_missing(target, waiting=not arrived and not self._is_over(history))


@dataclass
class _Chain:
    """The segments along one way; what has been seen whole is not looked at again."""

    archive: Archive
    path: Path
    is_over: bool  # nothing more comes
    _seen: dict[int, int] = field(default_factory=dict)  # first number -> the first one not seen whole

    def verdict(self, backup: Backup, last: int) -> Verdict:
        first = Segment.parse(backup.first_segment).number
        number = self._seen.get(first, first)
        while number <= last and _is_whole(self.archive.sizes(self.path.segment(number))):
            number += 1
        self._seen[first] = number
        if number <= last:
            return self._fault(number, last)
        return Proof(
            backup=backup.label,
            first_segment=self.path.segment(first).name,
            last_segment=self.path.segment(last).name,
            segments=last - first + 1,
            timelines=self._timelines(backup, first, last),
        )

    def _timelines(self, backup: Backup, first: int, last: int) -> tuple[int, ...]:
        # The last one is what recovery has to be told, even if none of its own segments is read.
        return tuple(dict.fromkeys((backup.timeline, *self.path.timelines(first, last), self.path.timeline)))

    def _fault(self, number: int, last: int) -> Unproven:
        segment = self.path.segment(number)
        sizes = self.archive.sizes(segment)
        if len(sizes) > 1:
            return verdict.segment_ambiguous(segment, len(sizes))
        if sizes:
            return verdict.segment_empty(segment)
        end = self.path.segment(last)
        later = any(self.archive.sizes(one) for one in self.path.segments(number + 1, last))
        if later or self.is_over or self.archive.has_after(end):
            return verdict.segment_missing(segment)
        return verdict.not_yet_archived(segment, end)


def _is_whole(sizes: list[int]) -> bool:
    return len(sizes) == 1 and sizes[0] > 0


def _best(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the first proof; without one, what may still come right; else what was said first."""
    refusals = []
    for one in verdicts:
        if isinstance(one, Proof):
            return one
        refusals.append(one)
    return next((one for one in refusals if one.waiting), refusals[0])
