"""Run one restore as a Job: ``python3 -m addons.loomworks_snapshot.pitr``.

The environment says everything: ``LOOMWORKS_RESTORE`` is a request (:meth:`Request.to_json`), ``LOOMWORKS_SCRATCH`` the
scratch folder, ``LOOMWORKS_SCRATCH_MIB`` how much of it there is (of a node's disk, one sees more than one may use),
``PGBACKREST_REPO1_*`` and ``LOOMWORKS_STANZA`` the repository, ``PG*`` the empty database to fill;
for a file to download, ``LOOMWORKS_FILESTORE_S3_*`` and ``LOOMWORKS_FILESTORE_KEY`` the tenant's files.
Standard output has one JSON object a line: progress, and at last a report or an error. The last one is the pod's
termination message, too.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...loomworks_tenant.errors import LoomworksError, RetryableError
from ..export.job import deliver_to
from ..repository.location import Location
from ..repository.store import Store
from .programs import Programs
from .request import Request
from .restore import Report, Restore
from .scratch import Scratch

OFTEN = 0.5  # seconds between two lines of progress within a stage
FAILED, WORTH_ANOTHER_TRY = 1, 75  # exit codes; EX_TEMPFAIL of sysexits.h
TERMINATION_LOG = Path("/dev/termination-log")
LONGEST = 3500  # bytes of the termination message, of Kubernetes' 4096


class Teller:
    """Writes the progress as JSON lines, not too often."""

    def __init__(self) -> None:
        self._last = ("", 0.0)

    def __call__(self, stage: str, share: float) -> None:
        """Say that ``share`` (0 to 1) of ``stage`` is done."""
        now = time.monotonic()
        shown, at = self._last
        if stage != shown or share >= 1.0 or now - at >= OFTEN:
            self._last = (stage, now)
            _say({"stage": stage, "share": round(share, 3)})


def main() -> int:
    """Restore, and return the exit code."""
    try:
        report = run(os.environ, Teller())
    except LoomworksError as error:
        retryable = isinstance(error, RetryableError)
        text = {"code": error.code, "message": error.message[:LONGEST], "hint": error.hint, "retryable": retryable}
        _say({"error": text}, last=True)
        return WORTH_ANOTHER_TRY if retryable else FAILED
    _say({"report": asdict(report)}, last=True)
    return 0


def run(environment: Mapping[str, str], tell: Teller) -> Report:
    """Do what ``environment`` asks for.

    :raises LoomworksError: of a kind that says whether it is worth another try
    """
    request = Request.from_json(environment["LOOMWORKS_RESTORE"])
    location = Location.from_environment(environment, environment.get("LOOMWORKS_STANZA", "main"))
    limit = int(environment.get("LOOMWORKS_SCRATCH_MIB", "0")) << 20
    scratch = Scratch(Path(environment["LOOMWORKS_SCRATCH"]) / "restore", limit=limit or None)
    programs = Programs()
    restore = Restore(request, Store(location), scratch, programs, tell)
    if request.drill:
        return restore.drill()
    if request.download:
        return restore.hand_over(deliver_to(environment, request, programs, tell))
    address = {name: value for name, value in environment.items() if name.startswith("PG") and name[2:3] != "B"}
    return restore.to_server(address)


def _say(what: dict[str, Any], *, last: bool = False) -> None:
    line = json.dumps({"at": round(time.time(), 3), **what})
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
    if last and TERMINATION_LOG.exists():
        TERMINATION_LOG.write_text(line)


if __name__ == "__main__":
    sys.exit(main())
