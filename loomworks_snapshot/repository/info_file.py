"""pgBackRest's own files: sections of ``key=JSON`` lines with a checksum over all of them.

The text is kept as it stands; a manifest has a line for every file of a server, and only a few are ever looked at.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import Any

from .errors import RepositoryDamaged, UnknownFormat

FORMAT = 5
OWN_SECTION = "backrest"
CHECKSUM = "backrest-checksum"


class InfoFile:
    """One file: ``sections`` maps a name to its lines, each ``key=value`` without its end, in the file's order."""

    def __init__(self, sections: dict[str, list[str]]) -> None:
        self.sections = sections

    @classmethod
    def read(cls, text: str) -> InfoFile:
        """Read ``text`` without looking at its checksum.

        :raises UnknownFormat: when another format's number stands there
        """
        file = cls(dict(_sections(text)))
        found = file.get(OWN_SECTION, "backrest-format")
        if found != FORMAT:
            raise UnknownFormat(
                f"the repository has format {found}, and this engine knows {FORMAT}",
                "Restore with the pgBackRest that wrote it.",
            )
        return file

    @classmethod
    def parse(cls, text: str) -> InfoFile:
        """Read ``text``.

        :raises UnknownFormat: when another format's number stands there
        :raises RepositoryDamaged: when the checksum is not that of the text
        """
        file = cls.read(text)
        if file.get(OWN_SECTION, CHECKSUM) != file.checksum():
            raise RepositoryDamaged("a file of the repository is not what its own checksum says")
        return file

    def render(self, checksum: str | None = None) -> str:
        """Return the text; ``checksum`` where it is that of more than the text has."""
        sections = [(name, lines) for name, lines in self.sections.items() if name != OWN_SECTION]
        last = (OWN_SECTION, [f'{CHECKSUM}="{checksum or self.checksum()}"'])
        parts = [(OWN_SECTION, list(self._own())), *sections, last]
        return "\n\n".join("\n".join([f"[{name}]", *lines]) for name, lines in parts) + "\n"

    def checksum(self) -> str:
        """Return the SHA-1 of the sections as one JSON object, the checksum itself left out."""
        digest = hashlib.sha1(b"{", usedforsecurity=False)
        digest.update(b",".join(map(self.as_json, self.names())))
        digest.update(b"}")
        return digest.hexdigest()

    def names(self) -> list[str]:
        """Return the names of the sections in the order in which the checksum takes them."""
        return [OWN_SECTION, *(name for name in self.sections if name != OWN_SECTION)]

    def as_json(self, name: str) -> bytes:
        """Return one section as a member of a JSON object."""
        lines = self._own() if name == OWN_SECTION else self.sections[name]
        return b"%b:{%b}" % (json.dumps(name).encode(), ",".join(map(_json_pair, lines)).encode())

    def _own(self) -> Iterator[str]:
        return (line for line in self.sections[OWN_SECTION] if not line.startswith(f"{CHECKSUM}="))

    def get(self, section: str, key: str, default: Any = None) -> Any:
        """Return one value, read from its JSON."""
        start = f"{key}="
        for line in self.sections.get(section, ()):
            if line.startswith(start):
                return json.loads(line[len(start) :])
        return default

    def items(self, section: str) -> Iterator[tuple[str, Any]]:
        """Yield every key of a section with its value."""
        for line in self.sections.get(section, ()):
            key, value = split(line)
            yield key, json.loads(value)


def split(line: str) -> tuple[str, str]:
    """Return a line's key and the text of its value: it begins at the first equals sign that only JSON follows."""
    at = line.find("=")
    while at >= 0:
        if line[at + 1 : at + 2] in _BEGINNINGS and _is_json(line[at + 1 :]):
            return line[:at], line[at + 1 :]
        at = line.find("=", at + 1)
    raise RepositoryDamaged("a file of the repository has a line that is no key with a value")


_BEGINNINGS = frozenset('{["0123456789-tfn')


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _json_pair(line: str) -> str:
    key, separator, value = line.partition("={")  # nearly every line: a file or path with its facts
    if not separator:
        key, value = split(line)
        return f"{json.dumps(key, ensure_ascii=False)}:{value}"
    return f"{json.dumps(key, ensure_ascii=False)}:{{{value}"


def _sections(text: str) -> Iterable[tuple[str, list[str]]]:
    """Yield name and lines of each section; the two parts of ``[backrest]`` are one."""
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.split("\n"):
        if line.startswith("[") and line.endswith("]"):
            current = found.setdefault(line[1:-1], [])
        elif line:
            current.append(line)
    return found.items()
