"""Where the stack's processes live: one control group and one private mount namespace.

Everything the stack starts is born inside both, so that everything can be found and ended
whatever state it is in, and every mount (volumes, overlays, pods) goes when the last process
does. Inside the namespace the state folder is also at :data:`INSIDE`: sockets need short paths.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from . import shell
from .errors import StackError
from .settings import Settings

INSIDE = Path("/run/loomworks")
CGROUP = "loomworks"
PROCESSES = "stack"  # the group of the stack's own processes, beside the pods' ``kubepods``
CGROUPS = Path("/sys/fs/cgroup")
KUBELET_CONTROLLERS = ("cpu", "cpuset", "hugetlb", "memory", "pids")
BOUND = {  # where programs insist on a path of their own: folder of the state -> that path
    "cni-cache": Path("/var/lib/cni"),
    "container-logs": Path("/var/log/containers"),
    "run/shims": Path("/run/containerd"),
}
# What the processes keep of the caller's environment: nothing of a person's session or credentials.
KEPT_VARIABLES = ("PATH", "HOME", "LANG", "TZ", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE")
END_TIMEOUT = 20  # seconds

ENTER = """set -e
echo $$ > "$1"
shift
state=$1
shift
ulimit -n "$(ulimit -H -n)"
mount --make-rshared /
mount --bind "$state" {inside}
mount --make-private {inside}
mount --make-rshared {inside}
{binds}
exec "$@"
"""


def inside(settings: Settings, path: Path) -> Path:
    """The short path, valid inside the namespace, of a file below the state folder."""
    return INSIDE / path.relative_to(settings.state)


def hierarchies() -> list[Path]:
    """The mounted cgroup hierarchies: one with version 2, one a controller with version 1."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    named = (path for path in CGROUPS.iterdir() if path.is_dir() and not path.is_symlink())
    return sorted(path for path in named if (path / "cgroup.procs").exists())


def _tracking() -> Path:
    """The hierarchy whose membership tells which processes are the stack's."""
    return CGROUPS if (CGROUPS / "cgroup.controllers").exists() else CGROUPS / "pids"


def make_cgroups() -> None:
    """Make the stack's control group in every hierarchy, with all controllers usable below it."""
    for hierarchy in hierarchies():
        group = hierarchy / CGROUP
        group.mkdir(exist_ok=True)
        _inherit_cpuset(hierarchy, group)
        if (group / "cgroup.subtree_control").exists() and hierarchy == CGROUPS:
            _enable_controllers(hierarchy, group)
    (_tracking() / CGROUP / PROCESSES).mkdir(exist_ok=True)


def _inherit_cpuset(parent: Path, group: Path) -> None:
    for name in ("cpuset.cpus", "cpuset.mems"):
        if (parent / name).exists() and hierarchies() != [CGROUPS] and not (group / name).read_text().strip():
            (group / name).write_text((parent / name).read_text())


def _enable_controllers(parent: Path, group: Path) -> None:
    """Hand the controllers that the kubelet asks for down to the group and to what is below it."""
    there = (parent / "cgroup.controllers").read_text().split()
    wanted = " ".join(f"+{name}" for name in KUBELET_CONTROLLERS if name in there)
    for path in (parent, group):
        (path / "cgroup.subtree_control").write_text(wanted)


def start(settings: Settings, command: list[str | Path], log: Path) -> int:
    """Start ``command`` inside the control group and a new namespace; return its process id."""
    INSIDE.mkdir(exist_ok=True)
    for name, path in BOUND.items():
        (settings.state / name).mkdir(parents=True, exist_ok=True)
        path.mkdir(parents=True, exist_ok=True)
    make_cgroups()
    binds = "\n".join(f"mount --bind {INSIDE / name} {path}" for name, path in BOUND.items())
    script = ENTER.format(inside=INSIDE, binds=binds)
    members = _tracking() / CGROUP / PROCESSES / "cgroup.procs"
    enter = ["unshare", "--mount", "--propagation", "slave", "sh", "-c", script, "enter", members, settings.state]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as stream:
        process = subprocess.Popen(
            [str(word) for word in [*enter, *command]],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            cwd="/",
            env={name: value for name, value in os.environ.items() if name.upper() in KEPT_VARIABLES},
            start_new_session=True,
        )
    return process.pid


def processes() -> list[int]:
    """Every living process of a stack on this machine, of this checkout or another, pods' included."""
    top = _tracking() / CGROUP
    files = top.rglob("cgroup.procs") if top.exists() else ()
    return sorted(pid for path in files for pid in _members(path))


def _members(path: Path) -> list[int]:
    try:
        return [int(line) for line in path.read_text().split()]
    except OSError:  # the group has just gone
        return []


def owner() -> Path | None:
    """The state folder of the stack whose supervisor is alive on this machine, if there is one."""
    for pid in processes():
        words = _command_line(pid)
        for word in words:
            if word.endswith("/supervisor/supervisord.conf") and "supervisord" in " ".join(words[:2]):
                return Path(word).parents[1]
    return None


def _command_line(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return []


def end_all() -> None:
    """Kill every process of the stack, pods' included, and wait until they are gone."""
    deadline = time.monotonic() + END_TIMEOUT
    while pids := processes():
        if time.monotonic() > deadline:
            raise StackError(f"these processes do not end: {pids}")
        for pid in pids:
            _kill(pid)
        time.sleep(0.1)


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def remove_traces() -> None:
    """Remove the empty control groups and mount points that a stack left."""
    for hierarchy in hierarchies():
        _remove_group(hierarchy / CGROUP)
    for path in (INSIDE, *BOUND.values()):
        shell.run(["rmdir", "--ignore-fail-on-non-empty", path], check=False)


def traces() -> list[str]:
    """What of any stack is on this machine: processes, control groups, mount points."""
    groups = [str(path / CGROUP) for path in hierarchies() if (path / CGROUP).exists()]
    return [*(f"process {pid}" for pid in processes()), *groups, *([str(INSIDE)] if INSIDE.exists() else [])]


def _remove_group(group: Path) -> None:
    if not group.exists():
        return
    for child in (path for path in group.iterdir() if path.is_dir()):
        _remove_group(child)
    group.rmdir()
