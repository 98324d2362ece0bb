"""``make status`` and ``make logs``: what runs, what is there, and what it says."""

from __future__ import annotations

import os
import shutil
import subprocess

from . import kubectl, leftovers, python_env, runtime, supervisor
from .errors import StackError
from .progress import say
from .settings import CONTROL_NAMESPACE, Settings

TABLES = (
    ("Nodes", ("get", "nodes", "-o", "wide")),
    ("Pods", ("get", "pods", "--all-namespaces", "-o", "wide")),
    ("Volumes", ("get", "persistentvolumes")),
    ("Services with an address of their own", ("get", "services", "--namespace", CONTROL_NAMESPACE)),
)
TAIL = 40  # lines


def status(settings: Settings) -> None:
    """Print processes, nodes, pods, volumes and addresses."""
    if settings.external_kubeconfig is None and not _say_processes(settings):
        return
    for title, arguments in TABLES:
        say(f"\n{title}\n{kubectl.run(settings, *arguments, check=False).rstrip()}")
    if settings.env_file.exists():
        shown = (line for line in settings.env_file.read_text().splitlines() if not _is_secret(line))
        say("\nAddresses\n" + "\n".join(line.removeprefix("export ") for line in shown))


def _is_secret(line: str) -> bool:
    return any(word in line for word in ("PASSWORD", "API_KEY", "PG_URL"))


def _say_processes(settings: Settings) -> bool:
    owner = runtime.owner()
    if owner not in (None, settings.state):
        say(f"Another checkout's stack runs on this machine: {owner}")
    if not supervisor.is_alive(settings):
        traces = leftovers.traces(settings) if owner is None else []
        say("The stack is down." + (f" Left behind: {', '.join(traces)} (make down removes it)" if traces else ""))
        return False
    say("Processes\n" + supervisor.control(settings, python_env.ensure(settings), "status").rstrip())
    return True


def logs(settings: Settings, name: str | None) -> None:
    """Follow one log (a process of the stack, else a workload of the control plane); without a name show all ends."""
    if name is None:
        _show_ends(settings)
    elif (settings.logs / f"{name}.log").exists():
        _become("tail", "-n", str(TAIL), "-F", str(settings.logs / f"{name}.log"))
    else:
        target = name if "/" in name else f"deployment/{name}"
        options = ["--namespace", CONTROL_NAMESPACE, "--all-containers", f"--tail={TAIL}", "--follow"]
        program = str(kubectl.program(settings))
        _become(program, "--kubeconfig", str(settings.kubeconfig), "logs", target, *options)


def _show_ends(settings: Settings) -> None:
    files = sorted(settings.logs.glob("*.log"))
    if not files:
        raise StackError("there are no logs yet", hint="make up")
    subprocess.run(["tail", "-n", "3", *map(str, files)], check=False)
    say(
        "\nOne of them, followed: make logs NAME=kubelet (or a workload: NAME=control-plane, NAME=statefulset/postgres)"
    )


def _become(program: str, *arguments: str) -> None:
    os.execv(shutil.which(program) or program, [program, *arguments])
