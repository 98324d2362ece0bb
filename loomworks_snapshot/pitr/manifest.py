"""The manifest of one base backup: every file of the server, of which a restore of one database keeps a few.

It has a line for each file of each tenant (some 3,000 a tenant), so the section of files stays one text that is cut and
never taken apart; its lines are in the order of their names.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ..repository.errors import RepositoryDamaged
from ..repository.info_file import InfoFile

FILES = "target:file"
HEAD = b"\n[target:file]\n"
TAIL = b"\n\n[target:file:default]\n"
DATABASES = b"pg_data/base/"
TABLESPACES = b"pg_tblspc/"
SHARED_DATABASES = (1, 4, 5)  # template1, template0 and postgres have fixed numbers since PostgreSQL 15
PAGE = 8192  # bytes; "bi" counts in them
DEFAULT_CHECKSUM_SIZE = 6  # bytes of a block's checksum in a block map
EXTENSIONS = {"none": "", "gz": ".gz", "lz4": ".lz4", "zst": ".zst", "bz2": ".bz2"}

_KEY = re.compile(rb"(?m)^([^=\n\"\\]+)=")
_STRANGE_KEY = re.compile(rb"(?m)^[^=\n]*[\"\\]")


@dataclass(frozen=True)
class StoredFile:
    """A file of the server and where its content is; sizes and offsets in bytes."""

    name: str  # such as pg_data/base/16384/2619
    label: str  # of the backup that holds it
    size: int
    stored_size: int
    bundle: int  # 0: an object of its own
    offset: int
    block_size: int  # 0: stored whole
    map_size: int
    checksum_size: int


class Manifest:
    """A manifest as text, whole or filtered."""

    def __init__(self, rest: InfoFile, files: bytes) -> None:
        self._rest = rest  # every section, that of the files empty
        self._files = files  # lines, without the last end of line

    @classmethod
    def parse(cls, data: bytes) -> Manifest:
        """Read the plain text of a manifest.

        :raises RepositoryDamaged, UnknownFormat: when it is not what its checksum says, or of another format
        """
        start, end = data.find(HEAD), data.find(TAIL)
        if start < 0 or end < start:
            raise RepositoryDamaged("a manifest of the repository has no list of files")
        start += len(HEAD)
        rest = InfoFile.read((data[: start - 1] + data[end:]).decode(errors="replace"))
        manifest = cls(rest, data[start:end])
        if rest.get("backrest", "backrest-checksum") != manifest.checksum():
            raise RepositoryDamaged("a manifest of the repository is not what its own checksum says")
        return manifest

    # --- what it says -------------------------------------------------------------------------------

    @property
    def label(self) -> str:
        """The backup's label."""
        return self._rest.get("backup", "backup-label")

    @property
    def references(self) -> list[str]:
        """The labels that block maps count: of every backup that this one builds on, and its own."""
        return self._rest.get("backup", "backup-reference", self.label).split(",")

    @property
    def data_pass(self) -> str:
        """The passphrase of the files' content."""
        return self._rest.get("cipher", "cipher-pass")

    @property
    def extension(self) -> str:
        """How names of compressed files end."""
        return EXTENSIONS[self._rest.get("backup:option", "option-compress-type", "none")]

    def databases(self) -> dict[str, int]:
        """Return name and number of every database at the time of the backup."""
        return {name: facts["db-id"] for name, facts in self._rest.items("db")}

    def files(self) -> Iterator[StoredFile]:
        """Yield every file; only sensible for a filtered manifest."""
        for line in self._files.split(b"\n"):
            if line:
                name, _, facts = line.decode().partition("={")
                yield self._stored(name, json.loads(f"{{{facts}"))

    def _stored(self, name: str, facts: dict[str, Any]) -> StoredFile:
        return StoredFile(
            name=name,
            label=facts.get("reference") or self.label,
            size=facts["size"],
            stored_size=facts.get("repo-size", facts["size"]),
            bundle=facts.get("bni", 0),
            offset=facts.get("bno", 0),
            block_size=facts.get("bi", 0) * PAGE,
            map_size=facts.get("bim", 0),
            checksum_size=facts.get("bic", DEFAULT_CHECKSUM_SIZE),
        )

    # --- filtering ----------------------------------------------------------------------------------

    def filtered(self, databases: Iterable[int]) -> Manifest:
        """Return a manifest with the files of these databases and whatever belongs to no database.

        Every folder stays: replaying a neighbour's CREATE DATABASE needs the folder above its files.
        """
        kept = sorted({str(number).encode() for number in (*SHARED_DATABASES, *databases)})
        text = b"\n" + self._files + b"\n"
        first, after = _span(text, DATABASES)
        parts = [text[:first], *(text[slice(*_span(text, DATABASES + number + b"/"))] for number in kept)]
        spaces, end = _span(text, TABLESPACES)
        if spaces >= after:
            lines = text[spaces:end].split(b"\n")
            parts += [text[after:spaces], *(b"\n" + line for line in lines if _of_database(line, kept)), text[end:]]
        else:
            parts.append(text[after:])
        return Manifest(self._rest, b"".join(parts).strip(b"\n"))

    # --- its text -----------------------------------------------------------------------------------

    def render(self) -> bytes:
        """Return it as the text of a file, with its checksum."""
        rest = InfoFile({**self._rest.sections, FILES: []})
        text = rest.render(self.checksum()).encode()
        return text.replace(HEAD, HEAD + self._files + b"\n", 1)

    def checksum(self) -> str:
        """Return the SHA-1 over all sections as one JSON object."""
        digest = hashlib.sha1(usedforsecurity=False)
        for part in self._rest.json_parts({FILES: self._files_as_json}):
            digest.update(part)
        return digest.hexdigest()

    def _files_as_json(self) -> bytes:
        if _STRANGE_KEY.search(self._files):
            raise RepositoryDamaged("a manifest of the repository names a file that PostgreSQL would not make")
        return _KEY.sub(rb'"\1":', self._files).replace(b"\n", b",")


def _span(text: bytes, prefix: bytes) -> tuple[int, int]:
    """Return where the lines that begin with ``prefix`` are: from the end of line before them to the one after."""
    start = text.find(b"\n" + prefix)
    if start < 0:
        return len(text), len(text)
    last = text.rfind(b"\n" + prefix)
    return start, text.find(b"\n", last + 1)


def _of_database(line: bytes, databases: list[bytes]) -> bool:
    """Tell whether a tablespace's line (pg_tblspc/16390/PG_17_202406281/16384/...) is of one of these databases."""
    words = line.split(b"/")
    return len(words) > 3 and words[3] in databases
