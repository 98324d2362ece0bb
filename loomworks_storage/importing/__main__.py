"""Look at a list of tenants and their sources, or bring one source in: the body of an import's Job.

The environment says everything: ``LOOMWORKS_IMPORT`` is a request (:class:`Request`), ``LOOMWORKS_FILESTORE_S3_*`` the
bucket that the sources are in, ``PG*`` the empty database and its owner. Standard output has one JSON object a line:
what was found of each line of a list, or the progress; and at last a report or an error.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psycopg2

from ...loomworks_tenant.errors import LoomworksError, RetryableError
from ..filestore.errors import SettingMissing
from ..filestore.folder import Folder
from ..filestore.location import Location
from ..filestore.store import Store
from . import lines, load
from .arrived import compare
from .bring import Bringing
from .errors import DatabaseAway
from .place import NO_TENANT, SourceLocation, opened
from .source import Inventory, Member, inventory

FAILED, NOT_WHOLE, WORTH_ANOTHER_TRY = 1, 2, 75  # exit codes; EX_TEMPFAIL of sysexits.h

Say = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Request:
    """What is asked for: to look at a list, or to bring a source in."""

    prefix: str  # below which the sources are
    lines: str = ""  # look: the list, as CSV
    plans: tuple[str, ...] = ()  # look: names of plans that there are
    taken: tuple[str, ...] = ()  # look: subdomains that are in use
    source: str = ""  # bring
    folder: str = ""  # bring: of the new database's files

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Request:
        """Read it from ``LOOMWORKS_IMPORT``.

        :raises SettingMissing: when it is not there, or none
        """
        try:
            values = json.loads(environment.get("LOOMWORKS_IMPORT", ""))
            lists = {name: tuple(values.get(name, ())) for name in ("plans", "taken")}
            return cls(**{**values, **lists})
        except (ValueError, TypeError, AttributeError) as error:
            raise SettingMissing(f"the request of an import cannot be read: {error}") from error


def main() -> int:
    """Do it, and return the exit code."""
    try:
        whole = run(os.environ, _say)
    except LoomworksError as error:
        retryable = isinstance(error, RetryableError)
        _say({"error": {"code": error.code, "message": error.message, "hint": error.hint, "retryable": retryable}})
        return WORTH_ANOTHER_TRY if retryable else FAILED
    return 0 if whole else NOT_WHOLE


def run(environment: Mapping[str, str], say: Say, wrap: load.Wrap = list) -> bool:
    """Do what ``environment`` asks for; tell whether nothing was found to be wrong.

    :raises LoomworksError: of a kind that says whether it is worth another try
    """
    request = Request.from_environment(environment)
    store = Store(SourceLocation.of(Location.from_environment(environment, NO_TENANT), request.prefix))
    if not request.source:
        return look(request, store, say)
    if not Path(request.folder).is_absolute():
        raise SettingMissing("the request does not say which folder the files go to")
    return bring(request, store, environment, say, wrap)


def look(request: Request, store: Store, say: Say) -> bool:
    """Say of every line what is wrong with it or its source, having changed nothing anywhere."""
    good = 0
    found = lines.read(request.lines.encode(), request.plans, request.taken)
    for line in found:
        problems, contents = list(line.problems), {}
        if not problems:
            problems, contents = _looked_into(store, line.source)
        good += not problems
        say({"line": {**asdict(line), "problems": problems, **contents}})
    say({"report": {"lines": len(found), "good": good, "whole": good == len(found)}})
    return good == len(found)


def bring(request: Request, store: Store, environment: Mapping[str, str], say: Say, wrap: load.Wrap) -> bool:
    """Fill the empty database and the folder out of a source, and compare them with it."""
    address = {name: value for name, value in environment.items() if name.startswith("PG")}
    with opened(store, request.source) as source, closing(_connect(address)) as connection:
        found = inventory(source)
        with connection, connection.cursor() as cr:
            load.require_harmless(cr)
        say({"stage": "database", "share": 0.0})
        with source.open(Member(found.dump.name, found.dump.size)) as stream:
            load.load(stream, found.dump.kind, address, wrap)
        with connection, connection.cursor() as cr:
            loaded = load.look(cr)
        folder = Folder(Path(request.folder))
        files = Bringing(source, folder, _teller(say)).run(found)
        with connection, connection.cursor("needed") as cr:
            arrival = compare(cr, folder, found)
    whole = files.whole and arrival.whole
    say({"report": {"database": asdict(loaded), "files": asdict(files), "arrival": asdict(arrival), "whole": whole}})
    return whole


def _connect(address: Mapping[str, str]) -> Any:
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE"}
    if missing := [name for name in names.values() if not address.get(name)]:
        raise SettingMissing(f"the variable {missing[0]} is not set")
    try:
        return psycopg2.connect(
            **{option: address[name] for option, name in names.items()}, sslmode=address.get("PGSSLMODE", "prefer")
        )
    except psycopg2.OperationalError as error:
        text = " ".join(str(error).split())
        raise DatabaseAway(f"the database that would be filled cannot be reached: {text}") from error


def _teller(say: Say) -> Callable[[str, float], None]:
    """Return what says how far a stage is, at each hundredth."""
    said: set[tuple[str, int]] = set()

    def tell(stage: str, share: float) -> None:
        if (now := (stage, int(share * 100))) not in said:
            said.add(now)
            say({"stage": stage, "share": round(share, 2)})

    return tell


def _looked_into(store: Store, name: str) -> tuple[list[str], dict[str, Any]]:
    """Return what is wrong with a source, and what is in it."""
    try:
        with opened(store, name) as source:
            return [], _short(inventory(source))
    except RetryableError:
        raise
    except LoomworksError as error:
        return [error.message], {}


def _short(found: Inventory) -> dict[str, Any]:
    return {"dump": asdict(found.dump), "files": len(found.files), "bytes": found.bytes, "others": found.others}


def _say(what: dict[str, Any]) -> None:
    sys.stdout.write(f"{json.dumps(what)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
