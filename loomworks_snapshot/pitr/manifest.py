"""The manifest of one base backup: every file of the server, of which a restore of one database keeps a few.

It has a line for each file of each tenant (some 3,000 a tenant), so its list of files is read as it comes, and only the
lines that are wanted are kept. Lines are in the order of their names: those of one folder follow each other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from ..repository.errors import RepositoryDamaged
from ..repository.info_file import InfoFile

FILES = "target:file"
HEAD = b"\n[target:file]\n"
DATABASES = b"pg_data/base/"
TABLESPACES = b"pg_tblspc/"
SHARED_DATABASES = (1, 4, 5)  # template1, template0 and postgres have fixed numbers since PostgreSQL 15
PAGE = 8192  # bytes; "bi" counts in them
DEFAULT_CHECKSUM_SIZE = 6  # bytes of a block's checksum in a block map
EXTENSIONS = {"none": "", "gz": ".gz", "lz4": ".lz4", "zst": ".zst", "bz2": ".bz2"}


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
    """A manifest of some of the files of a backup."""

    def __init__(self, rest: InfoFile, files: bytes) -> None:
        self._rest = rest  # every section, that of the files empty
        self._files = files  # lines, without the last end of line

    @classmethod
    def read(cls, pieces: Iterable[bytes], choose: Callable[[Mapping[str, int]], Iterable[int]]) -> Manifest:
        """Read the plain text of a manifest, and keep the files of some databases and whatever belongs to no database.

        Every folder stays: replaying a neighbour's CREATE DATABASE needs the folder above its files.

        :param pieces: the text, cut anywhere
        :param choose: told name and number of every database, returns the numbers of those whose files are wanted
        :raises RepositoryDamaged, UnknownFormat: when it is not what its checksum says, or of another format
        """
        text = _Text(pieces)
        beginning = text.up_to(HEAD)
        head = _understood(beginning)
        numbers = sorted({str(number).encode() for number in (*SHARED_DATABASES, *choose(_databases(head)))})
        digest = hashlib.sha1(b"{", usedforsecurity=False)  # of all sections as one JSON object
        digest.update(b",".join(map(head.as_json, head.names())) + b',"%b":{' % FILES.encode())
        kept, comma = [], 1
        for lines in text.lines():
            digest.update(_as_json(lines)[comma:])
            kept.append(_of_databases(lines, numbers))
            comma = 0
        rest = _understood(beginning + HEAD + text.rest())
        after = [name for name in rest.names() if name not in head.sections and name != FILES]
        digest.update(b"}" + b"".join(b"," + rest.as_json(name) for name in after) + b"}")
        if f'backrest-checksum="{digest.hexdigest()}"' not in rest.sections["backrest"]:
            raise RepositoryDamaged("a manifest of the repository is not what its own checksum says")
        return cls(rest, b"".join(kept).strip(b"\n"))

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
        return _databases(self._rest)

    def files(self) -> Iterator[StoredFile]:
        """Yield every file."""
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

    # --- its text -----------------------------------------------------------------------------------

    def render(self) -> bytes:
        """Return it as the text of a file, with its checksum."""
        rest = InfoFile({**self._rest.sections, FILES: []})
        text = rest.render(self._checksum()).encode()
        return text.replace(HEAD, HEAD + self._files + b"\n", 1)

    def _checksum(self) -> str:
        sections = {**self._rest.sections, FILES: self._files.decode().split("\n") if self._files else []}
        return InfoFile(sections).checksum()


class _Text:
    """The text of a manifest that comes in pieces, of which no more is kept than has to be."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._coming = iter(pieces)
        self._there = b""

    def up_to(self, mark: bytes) -> bytes:
        """Return what is before ``mark``, and go on behind it, with its last end of line."""
        looked = 0
        while (at := self._there.find(mark, max(0, looked - len(mark)))) < 0:
            looked = len(self._there)
            self._more()
        before, self._there = self._there[:at], self._there[at + len(mark) - 1 :]
        return before

    def lines(self) -> Iterator[bytes]:
        """Yield the lines up to an empty one, several at once, each with the end of line before it."""
        while (end := self._there.find(b"\n\n")) < 0:
            cut = self._there.rfind(b"\n")
            if cut > 0:
                yield self._there[:cut]
                self._there = self._there[cut:]
            self._more()
        if end:
            yield self._there[:end]
        self._there = self._there[end:]

    def rest(self) -> bytes:
        """Return all that is left."""
        return self._there + b"".join(self._coming)

    def _more(self) -> None:
        piece = next(self._coming, None)
        if piece is None:
            raise RepositoryDamaged("a manifest of the repository has no list of files, or no end")
        self._there += piece


def _understood(text: bytes) -> InfoFile:
    """Read the sections apart from the files."""
    try:
        return InfoFile.read(text.decode(errors="replace"))
    except (ValueError, KeyError) as error:
        raise RepositoryDamaged("a manifest of the repository cannot be read") from error


def _databases(head: InfoFile) -> dict[str, int]:
    try:
        return {name: int(facts["db-id"]) for name, facts in head.items("db")}
    except (ValueError, KeyError, TypeError) as error:
        raise RepositoryDamaged("a manifest of the repository cannot say which databases there were") from error


def _as_json(lines: bytes) -> bytes:
    """Return the lines of files as members of a JSON object, each with a comma before it.

    Each is ``name={facts}``. A name that JSON would write otherwise is none that PostgreSQL makes; the checksum tells.
    Python replaces one byte fifteen times as fast as two: no facts have a "=", as a rule.
    """
    one_each = lines.count(b"=") == lines.count(b"\n")
    named = lines.replace(b"=", b'":') if one_each else lines.replace(b"={", b'":{')
    return named.replace(b"\n", b',"')


def _of_databases(lines: bytes, numbers: list[bytes]) -> bytes:
    """Return the lines of these databases, in tablespaces, too, and of what belongs to no database."""
    kept = {_span(lines, DATABASES): _own, _span(lines, TABLESPACES): _own_in_spaces}
    parts, at = [], 0
    for (start, end), those in sorted(kept.items(), key=itemgetter(0)):
        parts += [lines[at:start], those(lines[start:end], numbers)]
        at = end
    return b"".join([*parts, lines[at:]])


def _own(lines: bytes, numbers: list[bytes]) -> bytes:
    return b"".join(lines[slice(*_span(lines, DATABASES + number + b"/"))] for number in numbers)


def _own_in_spaces(lines: bytes, numbers: list[bytes]) -> bytes:
    """A tablespace's line is pg_tblspc/16390/PG_17_202406281/16384/..."""
    wanted = (line for line in lines.split(b"\n") if line.count(b"/") > 3 and line.split(b"/", 4)[3] in numbers)
    return b"".join(b"\n" + line for line in wanted)


def _span(lines: bytes, prefix: bytes) -> tuple[int, int]:
    """Return where the lines that begin with ``prefix`` are: from the end of line before them to the one after.

    By their order most pieces of a manifest have none, and need not be looked through.
    """
    first, last = lines[1 : len(prefix) + 1], lines[lines.rfind(b"\n") + 1 :][: len(prefix)]
    if not first <= prefix <= last:
        return len(lines), len(lines)
    start = lines.find(b"\n" + prefix)
    if start < 0:
        return len(lines), len(lines)
    end = lines.find(b"\n", lines.rfind(b"\n" + prefix) + 1)
    return start, end if end >= 0 else len(lines)
