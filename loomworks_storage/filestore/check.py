"""Look whether a backup could be restored: every object is listed with its size, and some are read."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field

from .crew import THREADS, Crew
from .errors import ObjectMissing, Unreadable
from .listing import Listing
from .manifest import DIRECTORIES, At, Manifest
from .vault import Vault

SAMPLE = 100  # contents

Tell = Callable[[str, float], None]
Files = Iterator[tuple[str, int]]  # digests and sizes in bytes


@dataclass
class CheckReport:
    """What a check found; sizes in bytes of content."""

    files: int = 0
    bytes: int = 0
    read: int = 0  # contents that were fetched, decrypted and hashed
    read_bytes: int = 0
    missing: list[str] = field(default_factory=list)
    damaged: dict[str, str] = field(
        default_factory=dict
    )  # digests of objects that cannot give their content back, and why
    seconds: float = 0.0

    @property
    def whole(self) -> bool:
        """Whether nothing was found to be wrong."""
        return not self.missing and not self.damaged


def check(
    vault: Vault,
    manifest: Manifest,
    sample: int | None = SAMPLE,
    tell: Tell = lambda stage, share: None,
    *,
    threads: int = THREADS,
) -> CheckReport:
    """Compare the objects with ``manifest``, and read ``sample`` of their contents at random (None: all)."""
    started = time.monotonic()
    report = CheckReport(len(manifest), manifest.size)
    _compare(vault, manifest, report, tell, Crew(threads))
    wrong = {*report.missing, *report.damaged}
    _read(vault, manifest, _chosen(manifest, sample, wrong), report, tell, Crew(threads))
    report.missing.sort()
    report.seconds = round(time.monotonic() - started, 3)
    return report


def _compare(vault: Vault, manifest: Manifest, report: CheckReport, tell: Tell, crew: Crew) -> None:
    listing = Listing(vault, manifest.own_count)

    def compare(name: str) -> tuple[list[str], dict[str, int]]:
        digests = listing.lacking(name, manifest)
        return digests, {digest: size for digest in digests if (size := stored_size(digest)) is not None}

    def stored_size(digest: str) -> int | None:
        at = manifest.at(digest)
        return listing.packs().get(at.pack.identity) if at else listing.directory(digest[:2]).get(digest)

    for done, (_, (digests, stored)) in enumerate(crew.each(compare, DIRECTORIES), 1):
        report.missing += [digest for digest in digests if digest not in stored]
        report.damaged |= {digest: f"it has {size} bytes" for digest, size in stored.items()}
        tell("list", done / len(DIRECTORIES))


def _chosen(manifest: Manifest, sample: int | None, wrong: Collection[str]) -> dict[str, Files]:
    """Return which files are to be read, by directory; each is made out in its turn, as there may be a million."""
    count, first, found = len(manifest), 0, {}
    chosen = range(count) if sample is None or sample >= count else set(random.sample(range(count), sample))
    for name, directory in sorted(manifest.directories.items()):
        numbered = zip(range(first, first + len(directory)), directory, strict=True)
        found[name] = (pair for number, pair in numbered if number in chosen and pair[0] not in wrong)
        first += len(directory)
    return found


def _read(
    vault: Vault, manifest: Manifest, files: dict[str, Files], report: CheckReport, tell: Tell, crew: Crew
) -> None:
    def read(name: str) -> list[tuple[str, int, Exception | None]]:
        return [
            (digest, size, _tried(vault, digest, size, manifest.at(digest)))
            for digest, size in files[name]
            if not crew.stopped
        ]

    for done, (_, results) in enumerate(crew.each(read, files), 1):
        for digest, size, error in results:
            if isinstance(error, ObjectMissing):
                report.missing.append(digest)
            elif isinstance(error, Unreadable):
                report.damaged[digest] = error.message
            else:
                report.read, report.read_bytes = report.read + 1, report.read_bytes + size
        tell("read", done / len(files))


def _tried(vault: Vault, digest: str, size: int, at: At | None) -> Exception | None:
    try:
        for _ in [vault.get_packed(digest, size, at)] if at else vault.get(digest, size):
            pass
    except (Unreadable, ObjectMissing) as error:
        return error
    return None
