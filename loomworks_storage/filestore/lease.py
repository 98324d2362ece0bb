"""Who works on a tenant's objects: backups beside each other, or a collector alone.

Each first writes a lease of its own and then looks for those of the others. The store shows to everybody what was
written before they look, so that of two who exclude each other at least one sees the other and withdraws. A lease of
somebody who was killed ends by itself, by the store's own clock; whoever lives stops long before.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from enum import StrEnum

from ...loomworks_tenant.errors import LoomworksError
from .errors import Busy, LeaseOver
from .store import Store

WAIT = 900.0  # seconds for which a backup waits for the end of a collector, or of its lease
PAUSE = 5.0  # seconds between two looks


class Kind(StrEnum):
    """What is done."""

    BACKUP = "backup"
    COLLECTOR = "collector"


LIFE = {Kind.BACKUP: 24 * 3600.0, Kind.COLLECTOR: 600.0}  # seconds after which a lease counts no more
EXCLUDED = {Kind.BACKUP: {Kind.COLLECTOR}, Kind.COLLECTOR: {Kind.BACKUP, Kind.COLLECTOR}}


class Lease:
    """One that is held: work goes on for half of its life."""

    def __init__(self, kind: Kind) -> None:
        self._end = time.monotonic() + LIFE[kind] / 2

    def require(self) -> None:
        """Be sure that nobody takes the holder for dead.

        :raises LeaseOver: when that is near
        """
        if time.monotonic() > self._end:
            raise LeaseOver("the work has taken too long for one go", "Run it again: what is done stays done.")


@contextmanager
def held(store: Store, kind: Kind) -> Iterator[Lease]:
    """Hold a lease while the block runs.

    :raises Busy: while others work whom it excludes
    """
    name = f"leases/{kind}.{secrets.token_hex(8)}"
    lease = Lease(kind)
    store.put(name, b"", replace=True)
    try:
        _refuse_others(store, name, kind)
        yield lease
    finally:
        with suppress(LoomworksError):  # it ends by itself
            store.delete(name)


@contextmanager
def held_after_waiting(
    store: Store, kind: Kind, wait: float = WAIT, sleep: Callable[[float], None] = time.sleep
) -> Iterator[Lease]:
    """Hold a lease while the block runs; wait for at most ``wait`` seconds until that can be.

    :raises Busy: when it cannot
    """
    end = time.monotonic() + wait
    with ExitStack() as stack:
        while True:
            try:
                lease = stack.enter_context(held(store, kind))
                break
            except Busy:
                if time.monotonic() >= end:
                    raise
            sleep(PAUSE)
        yield lease


def _refuse_others(store: Store, own: str, kind: Kind) -> None:
    found = list(store.list("leases"))
    now = next((one.modified for one in found if one.name == own), None)
    if now is None:
        raise Busy("the object store does not list what was written to it", "Check the bucket's life cycle.")
    for one in found:
        other = one.name.rpartition("/")[2].partition(".")[0]
        if one.name == own or other not in EXCLUDED[kind]:
            continue
        if (now - one.modified).total_seconds() < LIFE[Kind(other)]:
            raise Busy(f"a {other} works on these files just now", "It is tried again by itself.")
