"""What a Job of ours says of itself: JSON objects, one a line, the last of them its container's termination message."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ..errors import LoomworksError, PermanentError, RetryableError
from . import diagnosis
from .client import KubeClient
from .manifest import Manifest

LOG_LINES = 5
FAILED = "job_failed"  # code of the diagnosis


@dataclass(frozen=True)
class Look:
    """A Job as it was found: its pods, how it stands, and its newest line, empty while it has said nothing."""

    pods: list[Manifest]
    state: diagnosis.Diagnosis
    said: dict[str, Any]

    @property
    def failed(self) -> bool:
        """Whether it has come to a bad end: what is in its way otherwise may pass."""
        return self.state.fatal and self.state.code == FAILED

    @property
    def ended(self) -> bool:
        """Whether it has come to its end."""
        return self.state.ready or self.failed


def look(kube: KubeClient, job: Manifest, container: str = "") -> Look:
    """Look at a Job.

    :param container: whose words are read; none: nobody's
    """
    found = pods(kube, job)
    return Look(found, diagnosis.job(job, found), last_line(kube, found, container) if container else {})


def pods(kube: KubeClient, job: Manifest) -> list[Manifest]:
    """Return the pods of this very Job: those of an earlier one of its name may still be going."""
    meta = job["metadata"]
    found = kube.list("Pod", meta["namespace"], label_selector=f"job-name={meta['name']}")
    return [pod for pod in found if meta["uid"] in {one["uid"] for one in pod["metadata"].get("ownerReferences", ())}]


def last_line(kube: KubeClient, found: list[Manifest], container: str) -> dict[str, Any]:
    """Return the newest line of the Job that has these pods; nothing while it has said nothing."""
    for pod in found:
        for status in pod.get("status", {}).get("containerStatuses", []):
            if said := parsed(status.get("state", {}).get("terminated", {}).get("message", "")):
                return said
        if said := last_logged(kube, pod, container):
            return said
    return {}


def last_logged(kube: KubeClient, pod: Manifest, container: str) -> dict[str, Any]:
    """Return the newest line in a pod's log: whole, where the termination message is cut."""
    statuses = pod.get("status", {}).get("containerStatuses", [])
    if all("waiting" in status.get("state", {}) for status in statuses):
        return {}  # there is no log before the container has begun
    meta = pod["metadata"]
    return parsed(kube.pod_log(meta["namespace"], meta["name"], container, LOG_LINES))


def failure(
    said: dict[str, Any], broke_off: type[RetryableError], failed: type[PermanentError], otherwise: str
) -> LoomworksError:
    """Return the error that a Job's last line tells: one that may not come again, or one that would.

    :param otherwise: what to say where it has told nothing
    """
    error = said.get("error")
    if not error:
        return broke_off(otherwise)
    if error["retryable"]:
        return broke_off(error["message"], error["hint"])
    return failed(error["message"], error["hint"], error["code"])


def parsed(text: str) -> dict[str, Any]:
    """Return the last line of ``text`` that is a JSON object."""
    for line in reversed(text.strip().splitlines()):
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            return found
    return {}
