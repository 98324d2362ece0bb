"""Look at a list of tenants and their sources, or bring one source in: the body of an import's Job.

The environment says everything: ``LOOMWORKS_IMPORT`` is a request (:class:`Request`), ``LOOMWORKS_FILESTORE_S3_*`` the
bucket that the sources are in, ``PG*`` the empty database and its owner. Standard output has one JSON object a line:
what was found of each line of a list, or the progress; and at last a report or an error.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import psycopg2

from ...loomworks_tenant.errors import LoomworksError, RetryableError
from ..filestore.errors import SettingMissing
from ..filestore.folder import Folder
from ..filestore.location import Location
from ..filestore.store import Store
from . import lines, load
from .arrived import compare, wanted_by
from .bring import Bringing
from .errors import DatabaseAway
from .looking import looked_into
from .place import NO_TENANT, SourceLocation, opened
from .source import Member, inventory, require_expected

FAILED, NOT_WHOLE, WORTH_ANOTHER_TRY = 1, 2, 75  # exit codes; EX_TEMPFAIL of sysexits.h

NAMED = 200  # files that a report names of each kind
LISTS = ("missing", "lost", "wrong", "elsewhere", "other_size")

Say = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Request:
    """What is asked for: to look at a list, or to bring a source in."""

    prefix: str  # below which the sources are
    lines: str = ""  # look: the list, as CSV
    plans: tuple[str, ...] = ()  # look: names of plans that there are
    taken: tuple[str, ...] = ()  # look: subdomains that are in use
    source: str = ""  # bring
    dump: str = ""  # bring: where the dump is, when it is not in the source
    folder: str = ""  # bring: of the new database's files
    files: int = 0  # bring: how many there have to be; 0: as many as there are
    bytes: int = 0  # bring: of all of them; 0: as many as there are

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
            problems, contents = looked_into(store, line)
        good += not problems
        say({"line": {**asdict(line), "problems": problems, **contents}})
    say({"report": {"lines": len(found), "good": good, "whole": good == len(found)}})
    return good == len(found)


def bring(request: Request, store: Store, environment: Mapping[str, str], say: Say, wrap: load.Wrap) -> bool:
    """Fill the empty database and the folder out of a source, and compare them with it."""
    address = {name: value for name, value in environment.items() if name.startswith("PG")}
    with opened(store, request.source, request.dump) as source:
        found = inventory(source)
        require_expected(found, request.files, request.bytes)
        with _asking(address) as cr:
            load.require_harmless(cr)
        tell = _teller(say)
        with source.open(Member(found.dump.name, found.dump.size)) as stream:
            load.load(_Told(stream, found.dump.size, tell), found.dump.kind, address, wrap)
        with _asking(address) as cr:
            loaded = load.look(cr)
        folder = Folder(Path(request.folder))
        files = Bringing(source, folder, tell).run(found)
        say({"stage": "proof", "share": 0.0})
        with _asking(address, "needed") as cr:
            wanted = wanted_by(cr)
        arrival = compare(wanted, folder, found)
    whole = files.whole and arrival.whole
    parts = {"files": _cut(asdict(files), "wrong"), "arrival": _cut(asdict(arrival), *LISTS)}
    say({"report": {"database": asdict(loaded), **parts, "whole": whole}})
    return whole


def _cut(part: dict[str, Any], *names: str) -> dict[str, Any]:
    """Say how many there are of what is listed, and name the first."""
    counts = {f"{name}_count": len(part[name]) for name in names}
    firsts = {name: type(part[name])(list(_items(part[name]))[:NAMED]) for name in names}
    return {**part, **counts, **firsts}


def _items(listed: list[str] | dict[str, str]) -> Iterable[Any]:
    return listed.items() if isinstance(listed, dict) else listed


@contextmanager
def _asking(address: Mapping[str, str], name: str | None = None) -> Iterator[Any]:
    """Have a cursor for as long as the database is asked something: no session waits for what else takes hours."""
    try:
        with closing(_connect(address)) as connection, connection, connection.cursor(name) as cr:
            yield cr
    except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
        text = " ".join(str(error).split())
        raise DatabaseAway(f"the database that would be filled cannot be reached: {text}") from error


def _connect(address: Mapping[str, str]) -> Any:
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE"}
    if missing := [name for name in names.values() if not address.get(name)]:
        raise SettingMissing(f"the variable {missing[0]} is not set")
    return psycopg2.connect(
        **{option: address[name] for option, name in names.items()}, sslmode=address.get("PGSSLMODE", "prefer")
    )


class _Told:
    """A dump that is read to its end, and tells how far."""

    def __init__(self, stream: BinaryIO, size: int, tell: Callable[[str, float], None]) -> None:
        self._stream, self._size, self._tell, self._read = stream, size, tell, 0

    def read(self, size: int) -> bytes:
        block = self._stream.read(size)
        self._read += len(block)
        self._tell("database", min(1.0, self._read / max(1, self._size)))
        return block


def _teller(say: Say) -> Callable[[str, float], None]:
    """Return what says how far a stage is, at each hundredth."""
    said: set[tuple[str, int]] = set()

    def tell(stage: str, share: float) -> None:
        if (now := (stage, int(share * 100))) not in said:
            said.add(now)
            say({"stage": stage, "share": round(share, 2)})

    return tell


def _say(what: dict[str, Any]) -> None:
    sys.stdout.write(f"{json.dumps(what)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
