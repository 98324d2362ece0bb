"""``make down`` and ``make reset``: end everything in good order and leave nothing behind."""

from __future__ import annotations

from . import kubectl, leftovers, python_env, runtime, supervisor, test_database
from .errors import StackError
from .progress import Progress, say
from .settings import Settings

GRACE = 20  # seconds that pods have to end by themselves
DRAIN_TIMEOUT = 60  # seconds


def down(settings: Settings) -> None:
    """Stop pods and processes, and undo all that was done to the machine; state and cache stay.

    An existing cluster is left as it is: it is not this machine's to stop.
    """
    if settings.external_kubeconfig:
        test_database.stop(settings)
        say(f"The cluster of {settings.external_kubeconfig} goes on with what was applied there.")
        return
    leftovers.refuse_neighbour(settings)
    alive = supervisor.is_alive(settings)
    stages = [
        *((("Pods", lambda: _drain(settings)), ("Processes", lambda: _shut_down(settings))) if alive else ()),
        ("Test database", lambda: test_database.stop(settings)),
        ("Mounts, loop devices, bridge, rules, control groups", lambda: leftovers.clean(settings)),
    ]
    progress = Progress(len(stages), settings.state / "stages.jsonl")
    for title, work in stages:
        with progress.stage(title):
            work()


def _drain(settings: Settings) -> None:
    """End all pods as a drained node does: by their own stop signals, and nobody makes them anew."""
    supervisor.stop_programs(settings, _venv(settings), "kube-controller-manager", "kube-scheduler")
    grace = [f"--grace-period={GRACE}", f"--timeout={DRAIN_TIMEOUT}s"]
    kubectl.run(settings, "delete", "pods", "--all", "--all-namespaces", *grace, check=False)


def _shut_down(settings: Settings) -> None:
    running = supervisor.names_running(settings, _venv(settings))
    supervisor.stop_programs(settings, _venv(settings), *(name for name in running if name != "etcd"))
    supervisor.control(settings, _venv(settings), "shutdown")  # etcd last: the API server waits for it
    supervisor.wait("the end of supervisord", lambda: not supervisor.is_alive(settings))
    runtime.end_all()


def _venv(settings: Settings):
    return python_env.ensure(settings)


def reset(settings: Settings) -> None:
    """Go down, then delete the stack's state: the next start is a first one, with what was built kept."""
    if settings.external_kubeconfig:
        raise StackError(
            f"{settings.state} holds the passwords of what runs in the cluster of {settings.external_kubeconfig}",
            hint="delete the namespaces there, then the folder; to reset this machine's own stack, unset KUBECONFIG",
        )
    down(settings)
    leftovers.remove_state(settings)
