"""Back up, check or restore a tenant's files as a Job: ``loomworks-filestore`` in the image loomworks-odoo.

The environment says everything: ``LOOMWORKS_FILESTORE`` is a request (:meth:`Request.to_json`),
``LOOMWORKS_FILESTORE_KEY`` the tenant's key, ``LOOMWORKS_FILESTORE_S3_*`` the object store. Standard output has one
JSON object a line: progress, and at last a report or an error. The last one, its lists cut, is the pod's termination
message, too.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...loomworks_tenant.errors import LoomworksError, RetryableError
from .backup import Backup, BackupReport
from .check import CheckReport, check
from .errors import SettingMissing, VolumeFailed
from .folder import Folder
from .key import Key
from .location import Location
from .request import Command, Request
from .restore import Restore, RestoreReport
from .store import Store
from .vault import Vault

OFTEN = 0.5  # seconds between two lines of progress within a stage
FAILED, NOT_WHOLE, WORTH_ANOTHER_TRY = 1, 2, 75  # exit codes; EX_TEMPFAIL of sysexits.h
TERMINATION_LOG = Path("/dev/termination-log")
LONGEST = 1500  # bytes of a message, of the 4096 that Kubernetes keeps
NAMED = 10  # files named in the termination message

Report = BackupReport | CheckReport | RestoreReport


class Teller:
    """Writes the progress as JSON lines, not too often."""

    def __init__(self) -> None:
        self._last = ("", 0.0)
        self.count: Callable[[], dict[str, int]] = dict  # what else is told of the progress

    def __call__(self, stage: str, share: float) -> None:
        """Say that ``share`` (0 to 1) of ``stage`` is done."""
        now = time.monotonic()
        shown, at = self._last
        if stage != shown or share >= 1.0 or now - at >= OFTEN:
            self._last = (stage, now)
            _say({"stage": stage, "share": round(share, 3), **self.count()})


def main() -> int:
    """Do it, and return the exit code."""
    gc.freeze()  # what was imported is not looked through again and again
    gc.enable()
    try:
        report = run(os.environ, Teller())
    except LoomworksError as error:
        retryable = isinstance(error, RetryableError)
        text = {"code": error.code, "message": error.message[:LONGEST], "hint": error.hint, "retryable": retryable}
        _say({"error": text}, last=True)
        return WORTH_ANOTHER_TRY if retryable else FAILED
    _say({"report": {**asdict(report), "whole": report.whole}}, last=True)
    return 0 if report.whole else NOT_WHOLE


def run(environment: Mapping[str, str], tell: Teller) -> Report:
    """Do what ``environment`` asks for.

    :raises LoomworksError: of a kind that says whether it is worth another try
    """
    try:
        return _run(environment, tell)
    except OSError as error:
        raise VolumeFailed(f"the volume: {error.strerror or error}", "Check the volume and its mount.") from error


def _run(environment: Mapping[str, str], tell: Teller) -> Report:
    request = Request.from_json(_setting(environment, "LOOMWORKS_FILESTORE"))
    key = Key.parse(_setting(environment, "LOOMWORKS_FILESTORE_KEY"))
    vault = Vault(Store(Location.from_environment(environment, request.tenant)), key)
    if request.command == Command.BACKUP:
        backup = Backup(vault, _folder(request), tell)
        tell.count = backup.sent_so_far
        options = {"audit": request.audit, "replace": request.replace, "may_lack": request.may_lack}
        return backup.run(request.manifest, request.database, **options)
    manifest = vault.manifest(request.manifest)
    if request.command == Command.CHECK:
        return check(vault, manifest, request.sample, tell)
    living = Folder(Path(request.living)) if request.living else None
    return Restore(vault, _folder(request), living, tell).run(manifest, verify=request.verify, prune=request.prune)


def _folder(request: Request) -> Folder:
    path = Path(request.folder)
    if not path.is_absolute():
        raise SettingMissing("the request does not say which folder the files are in")
    return Folder(path)


def _setting(environment: Mapping[str, str], name: str) -> str:
    if not environment.get(name):
        raise SettingMissing(f"the variable {name} is not set")
    return environment[name]


def _say(what: dict[str, Any], *, last: bool = False) -> None:
    at = round(time.time(), 3)
    sys.stdout.write(f"{json.dumps({'at': at, **what})}\n")
    sys.stdout.flush()
    if last and TERMINATION_LOG.exists():
        TERMINATION_LOG.write_text(json.dumps({"at": at, **_short(what)}))


def _short(what: dict[str, Any]) -> dict[str, Any]:
    """Return ``what`` with the lists in it cut; ``<name>_count`` says how long each of them was."""
    short: dict[str, Any] = {}
    for kind, values in what.items():
        short[kind] = {}
        for name, value in values.items():
            if isinstance(value, list | dict):
                short[kind][f"{name}_count"] = len(value)
                value = list(value)[:NAMED]  # noqa: PLW2901
            short[kind][name] = value
    return short


if __name__ == "__main__":
    sys.exit(main())
