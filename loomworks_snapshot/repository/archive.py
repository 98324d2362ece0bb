"""A server's archived WAL, listed: each folder once, however many ask."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property

from . import catalog, cipher, timelines
from .segments import Segment
from .store import Store
from .timelines import Path

# A whole segment. What a promotion leaves behind ("...partial-SHA1") is none.
_OBJECT = re.compile(r"^([0-9A-F]{24})-[0-9a-f]{40}(\.(gz|lz4|zst|bz2))?$")


@dataclass
class Archive:
    """What ``archive/STANZA/ARCHIVE_ID`` holds; folders are listed when they are first asked for."""

    store: Store
    archive_id: str
    _folders: dict[str, dict[str, list[int]]] = field(default_factory=dict)
    _paths: dict[int, Path | None] = field(default_factory=dict)

    def sizes(self, segment: Segment) -> list[int]:
        """Return the size in bytes of every object that is this segment: one, if all is well."""
        return self._folder(segment.folder).get(segment.name, [])

    def has_after(self, segment: Segment) -> bool:
        """Tell whether a later segment of the timeline is there, as far as folders were listed or lie next."""
        following = Segment(segment.timeline, segment.number + 1)
        folders = {segment.folder, following.folder}
        return any(name > segment.name for folder in folders for name in self._folder(folder))

    @cached_property
    def known_timelines(self) -> list[int]:
        """The timelines of which a history is archived, in ascending order."""
        names = (item.name.rpartition("/")[2] for item in self.store.list(self._root, deep=False))
        return sorted(int(match[1], 16) for name in names if (match := timelines.NAME.match(name)))

    def path(self, timeline: int) -> Path | None:
        """Return the way along ``timeline``, or None while its history is not archived.

        :raises WrongKey, RepositoryDamaged: when it cannot be read
        """
        if timeline not in self._paths:
            self._paths[timeline] = self._read_path(timeline)
        return self._paths[timeline]

    def _read_path(self, timeline: int) -> Path | None:
        if timeline == timelines.FIRST:
            return Path.parse(timeline, "")
        if timeline not in self.known_timelines:
            return None
        data = self.store.read(f"{self._root}/{timelines.file_name(timeline)}")
        text = cipher.decrypt(data, self._passphrase).decode("utf-8", "replace")
        return Path.parse(timeline, text)

    def _folder(self, folder: str) -> dict[str, list[int]]:
        if folder not in self._folders:
            self._folders[folder] = self._list(folder)
        return self._folders[folder]

    def _list(self, folder: str) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for item in self.store.list(f"{self._root}/{folder}"):
            match = _OBJECT.match(item.name.rpartition("/")[2])
            if match:
                found.setdefault(match[1], []).append(item.size)
        return found

    @property
    def _root(self) -> str:
        return f"archive/{self.store.location.stanza}/{self.archive_id}"

    @cached_property
    def _passphrase(self) -> str:
        return catalog.archive_pass(self.store)
