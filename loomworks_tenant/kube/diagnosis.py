"""What the status of Kubernetes objects means, in words for a person.

Pure functions over objects as the API returns them; reasons as the kubelet and the controllers write them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .manifest import Manifest

IMAGE_REASONS = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
CONFIG_REASONS = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
LOG_TAIL = 400  # characters of a crashed container's last words
CRASHES_BEFORE_FAILURE = 3  # restarts after which a crash loop is called one


@dataclass(frozen=True)
class Diagnosis:
    """Where a workload stands; ``fatal`` when waiting longer cannot help."""

    ready: bool
    message: str
    code: str = ""
    fatal: bool = False


def deployment(obj: Manifest, pods: list[Manifest]) -> Diagnosis:
    """Say whether a Deployment runs as its spec asks, and otherwise why not."""
    wanted = obj["spec"].get("replicas", 1)
    status = obj.get("status", {})
    if status.get("observedGeneration", 0) < obj["metadata"].get("generation", 0):
        return Diagnosis(False, "the cluster has not looked at the change yet")
    if wanted == 0:
        return _stopped(pods)
    if _rolled_out(status, wanted):
        return Diagnosis(True, "running")
    refused = _condition(status, "ReplicaFailure")
    if refused:
        return Diagnosis(False, refused["message"], _refusal_code(refused["message"]), fatal=True)
    return _worst([pod(item) for item in pods if not item["metadata"].get("deletionTimestamp")])


def ready_pods(pods: list[Manifest]) -> Diagnosis:
    """Say whether one of some pods takes requests, and otherwise why not."""
    living = [item for item in pods if not item["metadata"].get("deletionTimestamp")]
    if any(_condition(item.get("status", {}), "Ready", "True") for item in living):
        return Diagnosis(True, "ready")
    return _worst([pod(item) for item in living])


def _rolled_out(status: Manifest, wanted: int) -> bool:
    return min(status.get("updatedReplicas", 0), status.get("availableReplicas", 0)) >= wanted


def lives(found: Manifest) -> bool:
    """Tell whether a pod may still run something: one that was evicted, or whose node restarted, stays as a record."""
    return found.get("status", {}).get("phase") not in ("Succeeded", "Failed")


def _stopped(pods: list[Manifest]) -> Diagnosis:
    if left := sum(map(lives, pods)):
        return Diagnosis(False, f"stopping: {left} pod(s) left")
    return Diagnosis(True, "stopped")


def _refusal_code(message: str) -> str:
    return "quota_exceeded" if "exceeded quota" in message else "pod_refused"


def _worst(found: list[Diagnosis]) -> Diagnosis:
    if not found:
        return Diagnosis(False, "waiting for the pod to be created")
    return max(found, key=lambda one: (one.fatal, bool(one.code)))


def pod(obj: Manifest) -> Diagnosis:
    """Say where a pod stands: ready, starting, or the reason why it cannot."""
    status = obj.get("status", {})
    for container in status.get("initContainerStatuses", []) + status.get("containerStatuses", []):
        problem = container_problem(container)
        if problem:
            return problem
    if (_condition(status, "Ready") or {}).get("status") == "True":
        return Diagnosis(True, "running")
    unscheduled = _condition(status, "PodScheduled", "False")
    if unscheduled:
        return Diagnosis(False, f"no place yet: {unscheduled.get('message', 'unscheduled')}", "unschedulable")
    return Diagnosis(False, "Odoo is starting")


def container_problem(status: Manifest) -> Diagnosis | None:
    """Return what keeps one container from running, if anything does."""
    waiting = status.get("state", {}).get("waiting", {})
    reason, message = waiting.get("reason", ""), waiting.get("message", "")
    if reason in IMAGE_REASONS:
        text = f"the image {status.get('image')} cannot be fetched: {message or reason}"
        return Diagnosis(False, text, "image_unavailable", fatal=True)
    if reason in CONFIG_REASONS:
        return Diagnosis(False, f"the container cannot be made: {message or reason}", "container_refused", fatal=True)
    restarts = status.get("restartCount", 0)
    if reason == "CrashLoopBackOff" or restarts:
        fatal = restarts >= CRASHES_BEFORE_FAILURE
        return Diagnosis(False, f"Odoo ended {restarts} time(s){_last_words(status)}", "crash_loop", fatal)
    return None


def _last_words(status: Manifest) -> str:
    ended = status.get("lastState", {}).get("terminated") or status.get("state", {}).get("terminated") or {}
    words = (ended.get("message") or "").strip()[-LOG_TAIL:]
    cause = ended.get("reason") or "unknown"
    return f" ({cause}, exit code {ended.get('exitCode', '?')})" + (f": {words}" if words else "")


def _condition(status: Manifest, kind: str, value: str | None = None) -> Manifest | None:
    for condition in status.get("conditions", []):
        if condition["type"] == kind and value in (None, condition["status"]):
            return condition
    return None


def claim(obj: Manifest, events: list[Manifest]) -> Diagnosis:
    """Say where a persistent volume claim stands, with the newest warning about it, or else the newest word."""
    phase = obj.get("status", {}).get("phase", "Pending")
    if phase == "Bound":
        return Diagnosis(True, "bound")
    warning = _newest(event for event in events if event.get("type") == "Warning")
    if phase == "Lost":
        return Diagnosis(False, _because("its volume is gone", warning), "volume_lost", fatal=True)
    if warning:
        return Diagnosis(False, f"no volume yet: {warning}", "volume_pending")
    return Diagnosis(False, _because("waiting for the volume", _newest(events)))


def _newest(events: Iterable[Manifest]) -> str:
    """Return the message of the newest of some events; empty without any."""
    newest = max(events, key=lambda event: event.get("lastTimestamp") or event.get("eventTime") or "", default={})
    return newest.get("message", "")


def _because(what: str, why: str) -> str:
    return f"{what}: {why}" if why else what


def job(obj: Manifest, pods: list[Manifest]) -> Diagnosis:
    """Say whether a Job has succeeded (ready), failed (fatal) or goes on."""
    status = obj.get("status", {})
    if _condition(status, "Complete", "True"):
        return Diagnosis(True, "finished")
    failed = _condition(status, "Failed", "True")
    if failed:
        return Diagnosis(False, _job_failure(failed, pods), "job_failed", fatal=True)
    stuck = [found for found in map(pod, pods) if found.code and found.code != "crash_loop"]
    return _worst(stuck) if stuck else Diagnosis(False, "running")


def _job_failure(condition: Manifest, pods: list[Manifest]) -> str:
    statuses = [status for item in pods for status in item.get("status", {}).get("containerStatuses", [])]
    words = [_last_words(status) for status in statuses if status.get("state", {}).get("terminated")]
    return (condition.get("message") or "failed") + "".join(words[-1:])
