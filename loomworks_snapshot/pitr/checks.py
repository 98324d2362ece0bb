"""Whether a restored database is sound."""

from __future__ import annotations

from .errors import CheckFailed, ProgramFailed
from .programs import Programs
from .scratch_server import ScratchServer

AMCHECK = "amcheck"


def check(programs: Programs, server: ScratchServer, database: str, jobs: int) -> None:
    """Look at every table's pages and every B-tree of the database (pg_amcheck), on the scratch server.

    :raises CheckFailed: naming what is damaged
    """
    try:
        programs.run(
            "pg_amcheck", f"--database={database}", "--install-missing", f"--jobs={jobs}", env=server.address()
        )
    except ProgramFailed as error:
        raise CheckFailed(f"the restored database is damaged: {error.message}") from error
