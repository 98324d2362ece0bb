"""Whether all has arrived: the files that a loaded database needs, those on the volume, and those of the source."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..filestore.crew import THREADS, Crew
from ..filestore.folder import Folder
from ..filestore.needed import needed
from .source import Inventory


@dataclass
class Arrival:
    """What was found; lists are of digests, or of names where those are none of Odoo's filestore."""

    needed: int = 0  # files that the database names
    there: int = 0  # of them on the volume, with the content that their name says
    missing: list[str] = field(default_factory=list)  # on the volume, and in the source
    lost: list[str] = field(default_factory=list)  # in the source, and not on the volume
    wrong: list[str] = field(default_factory=list)  # on the volume with another content
    elsewhere: list[str] = field(default_factory=list)  # kept where this platform has no way to
    other_size: list[str] = field(default_factory=list)  # right, and the database says another size
    unneeded: int = 0  # files of the source that no attachment names

    @property
    def whole(self) -> bool:
        """Whether the database has every file that it needs."""
        return self.there == self.needed


def compare(cr: Any, folder: Folder, found: Inventory, *, threads: int = THREADS) -> Arrival:
    """Hash every file that the database needs, and say what is there.

    :param cr: of the loaded database, as its owner; better a server-side cursor
    """
    arrival, wanted = Arrival(), {}
    for one in needed(cr):
        if not one.digest:
            arrival.elsewhere.append(one.name)
        elif wanted.setdefault(one.digest, one.size) != one.size:
            arrival.other_size.append(one.digest)
    arrival.needed = len(wanted) + len(arrival.elsewhere)
    crew = Crew(threads)
    directories = {digest[:2] for digest in wanted}
    for name, sizes in crew.each(folder.files, directories):
        digests = [digest for digest in wanted if digest[:2] == name]
        for digest in digests:
            _look(digest, wanted[digest], sizes.get(digest), folder, found, arrival)
    arrival.unneeded = len(found.files.keys() - wanted.keys())
    for digests in (arrival.missing, arrival.lost, arrival.wrong, arrival.elsewhere, arrival.other_size):
        digests.sort()
    return arrival


def _look(digest: str, said: int | None, size: int | None, folder: Folder, found: Inventory, arrival: Arrival) -> None:
    if size is None:
        (arrival.lost if digest in found.files else arrival.missing).append(digest)
    elif not folder.has_content(digest):
        arrival.wrong.append(digest)
    else:
        arrival.there += 1
        if said is not None and said != size:
            arrival.other_size.append(digest)
