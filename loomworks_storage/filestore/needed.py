"""Which files a database needs, read from the database itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .manifest import Manifest

ROWS = 10_000  # at once

_PATH = re.compile(r"([0-9a-f]{2})/(\1[0-9a-f]{38})")


@dataclass(frozen=True)
class NeededFile:
    """A file that attachments name; ``digest`` is empty where the name is not one of Odoo's filestore."""

    name: str  # such as ab/ab…
    digest: str
    size: int | None  # bytes, as the database says


def needed(cr: Any) -> Iterator[NeededFile]:
    """Yield the files of all attachments; give a server-side cursor where there may be a million."""
    cr.execute("SELECT DISTINCT store_fname, file_size FROM ir_attachment WHERE store_fname IS NOT NULL")
    while rows := cr.fetchmany(ROWS):
        for row in rows:
            name, size = row.values() if isinstance(row, dict) else row
            match = _PATH.fullmatch(name)
            yield NeededFile(name, match[2] if match else "", size)


def missing(cr: Any, manifest: Manifest) -> list[NeededFile]:
    """Return the files that the database needs and the backup does not have.

    Sizes are not compared: the name is the content's digest, and the database's size is written by whoever writes the
    attachment.
    """
    return [one for one in needed(cr) if not one.digest or manifest.size_of(one.digest) is None]


def any_needed(cr: Any) -> bool:
    """Tell whether the database needs any file."""
    cr.execute("SELECT 1 FROM ir_attachment WHERE store_fname IS NOT NULL LIMIT 1")
    return cr.fetchone() is not None
