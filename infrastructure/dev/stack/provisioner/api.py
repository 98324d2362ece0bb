"""The provisioner's dealings with the API server: plain dictionaries in and out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from .plan import FINALIZER, Object, event_manifest, resize_failure

WATCH_SECONDS = 300
FIELD_MANAGER = "loomworks-provisioner"


class Gone(Exception):
    """A watch is too old to go on: list again."""


class Api:
    """Claims, volumes, classes and events of one cluster."""

    def __init__(self, kubeconfig: Path) -> None:
        settings = client.Configuration()
        settings.retries = 0
        config.load_kube_config(str(kubeconfig), client_configuration=settings)
        connection = client.ApiClient(settings)
        self._core = client.CoreV1Api(connection)
        self._storage = client.StorageV1Api(connection)
        self._lists = {
            "PersistentVolumeClaim": self._core.list_persistent_volume_claim_for_all_namespaces,
            "PersistentVolume": self._core.list_persistent_volume,
        }

    def list(self, kind: str) -> tuple[list[Object], str]:
        """All objects of ``kind``, and the version from which to watch."""
        answer = json.loads(self._lists[kind](_preload_content=False).data)
        items = [{**item, "kind": kind} for item in answer["items"]]
        return items, answer["metadata"]["resourceVersion"]

    def watch(self, kind: str, version: str) -> Iterator[tuple[str, Object]]:
        """Changes since ``version`` as (ADDED, MODIFIED, DELETED or BOOKMARK, object), for some minutes.

        :raises Gone: when the API server has forgotten that version
        """
        answer = self._lists[kind](
            watch=True,
            resource_version=version,
            allow_watch_bookmarks=True,
            timeout_seconds=WATCH_SECONDS,
            _preload_content=False,
            _request_timeout=(5, WATCH_SECONDS + 10),
        )
        try:
            for line in _lines(answer):
                change = json.loads(line)
                if change["type"] == "ERROR":
                    raise Gone(change["object"].get("message"))
                yield change["type"], {**change["object"], "kind": kind}
        finally:
            answer.close()

    def storage_class(self, name: str) -> Object:
        """A storage class by name."""
        return json.loads(self._storage.read_storage_class(name, _preload_content=False).data)

    def create_volume(self, manifest: Object) -> None:
        """Create a volume, unless it is there already."""
        try:
            self._core.create_persistent_volume(manifest, field_manager=FIELD_MANAGER)
        except ApiException as error:
            if error.status != 409:
                raise

    def set_capacity(self, claim: Object, volume: Object, quantity: str) -> None:
        """Say that volume and claim have this size now, and that no resizing is going on."""
        spec = {"spec": {"capacity": {"storage": quantity}}}
        self._core.patch_persistent_volume(volume["metadata"]["name"], spec, field_manager=FIELD_MANAGER)
        settled = {"conditions": None, "allocatedResources": None, "allocatedResourceStatuses": None}
        self._patch_status(claim, {"capacity": {"storage": quantity}, **settled})

    def set_resize_failure(self, claim: Object, message: str, *, infeasible: bool) -> None:
        """Say that the claim could not get the size it asks for."""
        self._patch_status(claim, resize_failure(claim, message, infeasible=infeasible, now=_now()))

    def _patch_status(self, claim: Object, status: Object) -> None:
        name, namespace = claim["metadata"]["name"], claim["metadata"]["namespace"]
        change = {"status": status}
        self._core.patch_namespaced_persistent_volume_claim_status(name, namespace, change, field_manager=FIELD_MANAGER)

    def delete_volume(self, volume: Object) -> None:
        """Delete a volume and let go of it; one that has gone already is no error."""
        name = volume["metadata"]["name"]
        self._ignore_missing(self._core.delete_persistent_volume, name)
        self.release(volume)

    def release(self, volume: Object) -> None:
        """Take the provisioner's finalizer off a volume."""
        patch = {"metadata": {"$deleteFromPrimitiveList/finalizers": [FINALIZER]}}
        self._ignore_missing(self._core.patch_persistent_volume, volume["metadata"]["name"], patch)

    @staticmethod
    def _ignore_missing(call, *arguments) -> None:
        try:
            call(*arguments)
        except ApiException as error:
            if error.status != 404:
                raise

    def tell(self, claim: Object, reason: str, message: str, kind: str = "Warning") -> None:
        """Put an event on a claim."""
        event = event_manifest(claim, reason, message, kind, _now())
        self._core.create_namespaced_event(claim["metadata"]["namespace"], event)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _lines(answer) -> Iterator[bytes]:
    rest = b""
    for chunk in answer.stream(amt=None, decode_content=False):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line for line in lines if line)
