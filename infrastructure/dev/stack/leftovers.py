"""What an earlier run left on this machine: found, removed, and proven to be gone."""

from __future__ import annotations

import shutil
from pathlib import Path

from . import network, runtime, s3, shell
from .errors import StackError
from .settings import Settings


def refuse_neighbour(settings: Settings) -> None:
    """Stop here when another checkout's stack is alive: addresses and bridge are one a machine.

    :raises StackError: naming the other stack's folder
    """
    owner = runtime.owner()
    if owner is not None and owner != settings.state and owner.exists():
        raise StackError(
            f"another stack runs on this machine, in {owner}",
            hint=f"stop it first: make -C {owner.parents[1]} down",
        )


def clean(settings: Settings) -> None:
    """Remove all that a stack, this checkout's or another's, keeps on the machine outside its folder."""
    runtime.end_all()
    s3.remove_sockets()
    network.remove(settings.state)
    runtime.remove_traces()
    _empty(settings.run)
    if found := traces(settings):
        raise StackError(f"these remain of the stack: {', '.join(found)}")


def traces(settings: Settings) -> list[str]:
    """Everything of a stack that can be seen on the machine."""
    return [*runtime.traces(), *network.traces(), *_loop_devices(settings.state)]


def _loop_devices(state: Path) -> list[str]:
    listing = shell.run(["losetup", "--list", "--noheadings", "--output", "NAME,BACK-FILE"], check=False)
    return [line.split()[0] for line in listing.splitlines() if f"{state}/" in line or "/volumes/pvc-" in line]


def _empty(folder: Path) -> None:
    """Remove what is in ``folder``; nothing is mounted there any more, and if it were it would be kept."""
    if folder.exists():
        shell.run(["find", folder, "-xdev", "-mindepth", "1", "-delete"])


def remove_state(settings: Settings) -> None:
    """Delete the stack's state; the stack must be down."""
    if settings.state.exists():
        shutil.rmtree(settings.state)
