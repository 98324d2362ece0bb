"""Whether all has arrived: the files that a loaded database needs, those on the volume, and those of the source."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..filestore.crew import THREADS, Crew
from ..filestore.folder import Folder
from ..filestore.needed import needed
from .source import Inventory


@dataclass
class Wanted:
    """The files that a database names."""

    sizes: dict[str, int | None] = field(default_factory=dict)  # by digest: in bytes, as the database says
    elsewhere: list[str] = field(default_factory=list)  # names that are none of Odoo's filestore
    other_size: list[str] = field(default_factory=list)  # digests of which the database says several sizes


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


@dataclass(frozen=True, slots=True)
class _Look:
    """One file on the volume."""

    digest: str
    size: int | None  # bytes; None: it is not there
    right: bool  # its content is what its name says


def wanted_by(cr: Any) -> Wanted:
    """Return the files that a database names; nothing is asked of it afterwards, however long they are looked at.

    :param cr: of the loaded database, as its owner; better a server-side cursor
    """
    wanted = Wanted()
    for one in needed(cr):
        if not one.digest:
            wanted.elsewhere.append(one.name)
        elif wanted.sizes.setdefault(one.digest, one.size) != one.size:
            wanted.other_size.append(one.digest)
    return wanted


def compare(wanted: Wanted, folder: Folder, found: Inventory, *, threads: int = THREADS) -> Arrival:
    """Hash every file that the database needs, and say what is there."""
    arrival = Arrival(
        needed=len(wanted.sizes) + len(wanted.elsewhere),
        elsewhere=list(wanted.elsewhere),
        other_size=list(wanted.other_size),
        unneeded=len(found.files.keys() - wanted.sizes.keys()),
    )
    crew, directories = Crew(threads), {}
    for digest in wanted.sizes:
        directories.setdefault(digest[:2], []).append(digest)
    for _name, looks in crew.each(lambda name: _look(directories[name], folder, crew), directories):
        for look in looks:
            _note(look, wanted.sizes[look.digest], found, arrival)
    for digests in (arrival.missing, arrival.lost, arrival.wrong, arrival.elsewhere, arrival.other_size):
        digests.sort()
    return arrival


def _look(digests: list[str], folder: Folder, crew: Crew) -> list[_Look]:
    sizes, looks = folder.files(digests[0][:2]), []
    for digest in digests:
        if crew.stopped:
            break
        size = sizes.get(digest)
        looks.append(_Look(digest, size, size is not None and folder.has_content(digest)))
    return looks


def _note(look: _Look, said: int | None, found: Inventory, arrival: Arrival) -> None:
    if look.size is None:
        (arrival.lost if look.digest in found.files else arrival.missing).append(look.digest)
    elif not look.right:
        arrival.wrong.append(look.digest)
    else:
        arrival.there += 1
        if said is not None and said != look.size:
            arrival.other_size.append(look.digest)
