"""A look at one line's source: whether it would be taken, and what is in it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ...loomworks_tenant.errors import LoomworksError, RetryableError
from ..filestore.store import Store
from .errors import TooLargeToLook
from .lines import Line
from .place import opened
from .source import Inventory, inventory, require_expected

QUICK_FILES = 20_000  # that are listed while somebody waits
QUICK_BYTES = 64 * 1024 * 1024  # of an archive's own list, and of the beginning of a dump


def looked_into(store: Store, line: Line, *, quick: bool = False) -> tuple[list[str], dict[str, Any]]:
    """Return what is wrong with a line's source, and what is in it.

    :param quick: somebody waits: of a source that is large, only that it is there is looked at
    :raises RetryableError: when the object store does not answer
    """
    most, fetched = (QUICK_FILES, QUICK_BYTES) if quick else (0, 0)
    try:
        with opened(store, line.source, line.dump, fetched) as source:
            found = inventory(source, most)
        require_expected(found, line.files, line.bytes)
    except TooLargeToLook:
        return [], {}
    except RetryableError:
        raise
    except LoomworksError as error:
        return [error.message], {}
    return [], _short(found)


def _short(found: Inventory) -> dict[str, Any]:
    return {"dump": asdict(found.dump), "files": len(found.files), "bytes": found.bytes, "others": found.others}
