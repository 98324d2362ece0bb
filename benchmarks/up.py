"""Time and memory of ``make up``: with nothing built, with all built, after ``make down``, and again.

The cold run has a cache and a state of its own, so the running stack is stopped for it and started again
(that restart is one of the figures); its data is untouched.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from figures import FOLDER

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "infrastructure" / "dev"))

from stack import runtime  # noqa: E402

SETTLE = 20  # seconds after which memory is read
SCRATCH = FOLDER / "scratch"
OWN = {"LOOMWORKS_CACHE": "cache", "LOOMWORKS_STATE": "state", "GOCACHE": "go-build", "GOMODCACHE": "go-modules"}
COLD = {name: str(SCRATCH / folder) for name, folder in OWN.items()}


def make(goal, environment=None):
    """Run ``make <goal>`` as a person would; return its seconds. Raises CalledProcessError when it fails."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("LOOMWORKS_", "KUBECONFIG"))}
    FOLDER.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with (FOLDER / "up.log").open("a") as log:
        subprocess.run(
            ["make", "-C", REPOSITORY, goal], check=True, env=clean | (environment or {}), stdout=log, stderr=log
        )
    return time.monotonic() - began


def memory():
    """MiB of everything the stack runs, pods included, each shared page counted once (proportional set size)."""
    time.sleep(SETTLE)
    return sum(_proportional_kib(pid) for pid in runtime.processes()) / 1024


def _proportional_kib(pid):
    with contextlib.suppress(OSError):  # a process that has just ended
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0


def discard():
    """Forget the cold run's state and cache; there may be some of a run that was ended."""
    if SCRATCH.exists():
        make("reset", COLD)
        subprocess.run(["chmod", "-R", "u+w", SCRATCH], check=True)  # Go keeps its modules read-only
        shutil.rmtree(SCRATCH)


def measure(figures):
    """Measure all ways to bring the stack up and leave the caller's own stack running."""
    make("down")
    discard()
    try:
        cold = make("up", COLD)
        figures.add("up_cold", cold, "s", 1.0)
        figures.add("up_cold_memory", memory(), "MiB")
        again = make("up", COLD)
        figures.add("up_again", again, "s", again / cold)
        make("reset", COLD)
        warm = make("up", COLD)
        figures.add("up_warm_new_state", warm, "s", warm / cold)
        figures.add("up_warm_memory", memory(), "MiB")
    finally:
        discard()
        restart = make("up")
    figures.add("up_after_down", restart, "s", restart / cold)
