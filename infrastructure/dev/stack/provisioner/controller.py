"""Keep what the cluster says and what the disks are in step."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from .api import Api, Gone
from .disk import DiskError, Disks, TooLarge
from .plan import (
    Action,
    Object,
    decide,
    disk_name,
    is_node_chosen,
    is_told,
    refusal,
    size,
    size_quantity,
    volume_manifest,
)
from .queue import WorkQueue

KINDS = ("PersistentVolumeClaim", "PersistentVolume")
WORKERS = 4
RECONNECT_DELAY = 0.5  # seconds

log = logging.getLogger(__name__)


class Refused(Exception):
    """The claim asks for what is not provided; asking again does not help."""


class Controller:
    """Watches claims and volumes; each disk is handled by one worker at a time."""

    def __init__(self, api: Api, disks: Disks, node: str) -> None:
        self._api, self._disks, self._node = api, disks, node
        self._queue = WorkQueue()
        self._known: dict[str, dict[str, Object]] = {kind: {} for kind in KINDS}

    def run(self, ready: Path) -> None:
        """Mount what is in use, write the file ``ready``, then serve until the process ends."""
        versions = {kind: self._list(kind) for kind in KINDS}
        self._recover()
        ready.touch()
        for _ in range(WORKERS):
            threading.Thread(target=self._work, daemon=True).start()
        watchers = [threading.Thread(target=self._watch, args=item, daemon=True) for item in versions.items()]
        for watcher in watchers:
            watcher.start()
        for watcher in watchers:
            watcher.join()

    def _recover(self) -> None:
        names = set().union(*self._known.values())
        for name in self._disks.remove_unknown(names):
            log.info("%s: removed, nothing names it", name)
        for name in sorted(names):
            if self._decide(name) in (Action.MOUNT, Action.GROW):
                self._attempt(name)

    def _list(self, kind: str) -> str:
        items, version = self._api.list(kind)
        self._known[kind] = {_key(item): item for item in items}
        for name in self._known[kind]:
            self._queue.add(name)
        return version

    def _watch(self, kind: str, version: str) -> None:
        while True:
            try:
                for change, item in self._api.watch(kind, version):
                    version = item["metadata"]["resourceVersion"]
                    if change != "BOOKMARK":
                        self._notice(kind, change, item)
            except (ApiException, HTTPError, Gone) as error:
                log.warning("watching %s again: %s", kind, error)
                version = self._list_when_possible(kind)

    def _list_when_possible(self, kind: str) -> str:
        while True:
            time.sleep(RECONNECT_DELAY)
            try:
                return self._list(kind)
            except (ApiException, HTTPError) as error:
                log.warning("cannot list %s: %s", kind, error)

    def _notice(self, kind: str, change: str, item: Object) -> None:
        if change == "DELETED":
            self._known[kind].pop(_key(item), None)
        else:
            self._known[kind][_key(item)] = item
        self._queue.add(_key(item))

    def _work(self) -> None:
        while True:
            name = self._queue.take()
            self._queue.done(name, failed=not self._attempt(name))

    def _attempt(self, name: str) -> bool:
        """Do the next thing for a disk; a failure is logged, told to the claim, and tried again later."""
        try:
            self._act(name, self._decide(name))
        except Refused as error:
            self._tell_failure(name, str(error))
        except (DiskError, OSError, ValueError, ApiException, HTTPError) as error:
            log.error("%s: %s", name, error)
            self._tell_failure(name, str(error))
            return False
        return True

    def _decide(self, name: str) -> Action:
        return decide(self._claim(name), self._volume(name))

    def _claim(self, name: str) -> Object | None:
        return self._known["PersistentVolumeClaim"].get(name)

    def _volume(self, name: str) -> Object | None:
        return self._known["PersistentVolume"].get(name)

    def _act(self, name: str, action: Action) -> None:
        claim, volume = self._claim(name), self._volume(name)
        if action is Action.PROVISION:
            self._provision(name, claim)
        elif action is Action.MOUNT:
            self._disks.mount(name)
        elif action is Action.GROW:
            self._grow(name, claim, volume)
        elif action is Action.DESTROY:
            self._disks.remove(name)
            self._api.delete_volume(volume)
        elif action is Action.FORGET:
            self._disks.retain(name)
            self._api.release(volume)

    def _provision(self, name: str, claim: Object) -> None:
        storage_class = self._api.storage_class(claim["spec"]["storageClassName"])
        if storage_class.get("volumeBindingMode") == "WaitForFirstConsumer" and not is_node_chosen(claim):
            return
        if reason := refusal(claim):
            raise Refused(reason)
        began = time.monotonic()
        path = self._disks.ensure(name, size(claim))
        self._api.create_volume(volume_manifest(claim, storage_class, str(path), self._node))
        log.info("%s: made in %.3f s", name, time.monotonic() - began)

    def _grow(self, name: str, claim: Object, volume: Object) -> None:
        try:
            self._disks.grow(name, size(claim))
        except DiskError as error:
            if not is_told(claim, str(error)):  # each change of the claim has it looked at again, at once
                self._api.set_resize_failure(claim, str(error), infeasible=isinstance(error, TooLarge))
            raise
        quantity = size_quantity(claim)
        self._api.set_capacity(claim, volume, quantity)
        self._api.tell(claim, "Resized", f"the volume has {quantity} now", "Normal")
        log.info("%s: has %s now", name, quantity)

    def _tell_failure(self, name: str, message: str) -> None:
        claim = self._claim(name)
        if claim and self._queue.failures(name) < 3:
            try:
                self._api.tell(claim, "ProvisioningFailed", message)
            except (ApiException, HTTPError) as error:
                log.warning("%s: no event could be written: %s", name, error)


def _key(item: Object) -> str:
    """The disk an object is about: a claim's by its uid, a volume's by its name."""
    return disk_name(item) if item["kind"] == "PersistentVolumeClaim" else item["metadata"]["name"]
