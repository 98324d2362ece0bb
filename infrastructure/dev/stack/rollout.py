"""Wait for workloads; when one cannot start, say why instead of waiting on."""

from __future__ import annotations

import json
import time

from . import kubectl
from .errors import StackError
from .settings import CONTROL_NAMESPACE, Settings

TIMEOUT = 600  # seconds
LOOK_EVERY = 10  # seconds
MAX_RESTARTS = 5
HOPELESS = ("ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "CreateContainerConfigError")
LAST_WORDS = 8  # lines of a failing container's log

Object = dict


def wait(settings: Settings, workload: str) -> None:
    """Wait until ``workload`` (``kind/name`` in the control plane's namespace) runs in its newest form.

    :raises StackError: when it does not in time, or when one of its pods will not start, with its last words
    """
    deadline = time.monotonic() + TIMEOUT
    while not _is_out(settings, workload):
        pods = _pods(settings, workload.partition("/")[2])
        if failing := next((found for pod in pods if (found := hopeless(pod))), None):
            raise StackError(_complaint(settings, workload, *failing), hint=f"make logs NAME={workload}")
        if time.monotonic() > deadline:
            message = f"{workload} is not ready after {TIMEOUT} s"
            raise StackError(message, hint=f"make status; make logs NAME={workload}")


def _is_out(settings: Settings, workload: str) -> bool:
    arguments = ("rollout", "status", workload, f"--timeout={LOOK_EVERY}s")
    answer = kubectl.run(settings, "--namespace", CONTROL_NAMESPACE, *arguments, check=False)
    return "successfully rolled out" in answer or "roll out complete" in answer


def _pods(settings: Settings, name: str) -> list[Object]:
    arguments = ("get", "pods", f"--selector=app.kubernetes.io/name={name}", "-o", "json")
    return json.loads(kubectl.run(settings, "--namespace", CONTROL_NAMESPACE, *arguments))["items"]


def hopeless(pod: Object) -> tuple[str, str, str] | None:
    """The pod, the container and the reason, if one of its containers will not start by waiting."""
    status = pod.get("status", {})
    for container in [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]:
        reason = container["state"].get("waiting", {}).get("reason", "")
        crashing = reason == "CrashLoopBackOff" and container["restartCount"] >= MAX_RESTARTS
        if crashing or reason in HOPELESS:
            return pod["metadata"]["name"], container["name"], reason
    return None


def _complaint(settings: Settings, workload: str, pod: str, container: str, reason: str) -> str:
    arguments = ("logs", pod, "--container", container, f"--tail={LAST_WORDS}")
    said = kubectl.run(settings, "--namespace", CONTROL_NAMESPACE, *arguments, check=False)
    lines = "".join(f"\n    {line}" for line in said.splitlines())
    return f"{workload} does not start: {reason} in container {container} of {pod}{lines}"
