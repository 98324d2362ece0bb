"""The tables of schema ``loomworks`` in database ``postgres``, as the superuser through the pod's own socket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg2

from .backrest import Outcome

INTERRUPTED = Outcome(-1, "interrupted: the steward ended while this was being done; it may be asked for again")
KEPT_ROWS = 1000
DSN = "dbname=postgres user=postgres application_name=steward"

# In the order in which they were asked for. There is one steward, so nobody else claims.
CLAIM = """
    UPDATE loomworks.repository_work SET started_at = clock_timestamp()
     WHERE id = (SELECT min(id) FROM loomworks.repository_work WHERE started_at IS NULL)
 RETURNING id, kind, argument
"""
FINISH = """
    UPDATE loomworks.repository_work
       SET finished_at = clock_timestamp(), exit_code = %(exit_code)s, message = %(message)s, label = %(label)s
     WHERE id = %(id)s
"""
END_INTERRUPTED = """
    UPDATE loomworks.repository_work
       SET finished_at = clock_timestamp(), exit_code = %(exit_code)s, message = %(message)s
     WHERE started_at IS NOT NULL AND finished_at IS NULL
"""
FORGET = """
    DELETE FROM loomworks.repository_work
     WHERE finished_at IS NOT NULL AND id <= (SELECT max(id) - %s FROM loomworks.repository_work)
"""
ASK = "INSERT INTO loomworks.repository_work (kind) VALUES (%s) ON CONFLICT DO NOTHING"
KEEP_INFO = """
    INSERT INTO loomworks.repository_info (taken_at, tried_at, info)
    VALUES (clock_timestamp(), clock_timestamp(), %(info)s)
    ON CONFLICT (id) DO UPDATE
       SET taken_at = excluded.taken_at, tried_at = excluded.tried_at, info = excluded.info, error = NULL
"""
# What was known stays: a repository that cannot be read has not lost its backups.
KEEP_ERROR = """
    INSERT INTO loomworks.repository_info (tried_at, error) VALUES (clock_timestamp(), %(error)s)
    ON CONFLICT (id) DO UPDATE SET tried_at = excluded.tried_at, error = excluded.error
"""
KEEP_SIZE = """
    UPDATE loomworks.repository_info SET backup_bytes = %(backups)s, archive_bytes = %(archive)s
"""


@dataclass(frozen=True)
class Work:
    """One piece of work that was asked for."""

    id: int
    kind: str
    argument: str | None


class Queue:
    """What was asked for, and what came of it. Every method raises ``psycopg2.Error`` while the server is away."""

    def __init__(self, dsn: str = DSN) -> None:
        self._dsn = dsn
        self._connection: Any = None

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        if self._connection is None:
            self._connection = psycopg2.connect(self._dsn)
            self._connection.autocommit = True
        try:
            with self._connection.cursor() as cr:
                yield cr
        except psycopg2.Error:
            self._connection.close()
            self._connection = None
            raise

    def claim(self) -> Work | None:
        """Mark the oldest piece of work as started and return it; None when nothing was asked for."""
        with self._cursor() as cr:
            cr.execute(CLAIM)
            row = cr.fetchone()
            return Work(*row) if row else None

    def finish(self, work: Work, outcome: Outcome) -> None:
        """Record what came of ``work``, and forget what is long past."""
        with self._cursor() as cr:
            cr.execute(FINISH, {"id": work.id, **vars(outcome)})
            cr.execute(FORGET, [KEPT_ROWS])

    def end_interrupted(self) -> None:
        """Mark what an earlier steward left running as failed."""
        with self._cursor() as cr:
            cr.execute(END_INTERRUPTED, vars(INTERRUPTED))

    def ask(self, kind: str) -> None:
        """Ask for a piece of work, unless the same is pending."""
        with self._cursor() as cr:
            cr.execute(ASK, [kind])

    def keep_info(self, info: list[dict[str, Any]]) -> None:
        """Keep what the repository says it holds."""
        with self._cursor() as cr:
            cr.execute(KEEP_INFO, {"info": json.dumps(info)})

    def keep_size(self, backups: int, archive: int) -> None:
        """Keep how many bytes backups and WAL take."""
        with self._cursor() as cr:
            cr.execute(KEEP_SIZE, {"backups": backups, "archive": archive})

    def keep_error(self, error: str) -> None:
        """Keep why the repository could not be read."""
        with self._cursor() as cr:
            cr.execute(KEEP_ERROR, {"error": error})
