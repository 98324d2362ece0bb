"""Keep a tenant's NOTIFY channels in its own database.

Odoo wakes its crons and its bus by LISTEN and NOTIFY in the database ``postgres``, which all databases of a server
share: a tenant would hear what others send there, so its role may not even connect. NOTIFY never leaves a
database; here the name ``postgres`` leads to the one database that this server serves.

Beside the addon itself, which is loaded server-wide, a launcher calls this before Odoo's own start, which looks into
``postgres`` to see whether the database exists::

    runpy.run_path(".../loomworks_client/private_channels.py")["activate"](odoo.sql_db, odoo.tools.config)
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

VARIABLE = "LOOMWORKS_PRIVATE_CHANNELS"
SHARED_DATABASE = "postgres"
# Its own name keeps these connections apart from those of the ORM, which are pooled and closed together.
APPLICATION_SUFFIX = "-channels"
APPLICATION_LENGTH = 63  # PostgreSQL cuts longer names

ConnectionInfo = Callable[..., tuple[str, dict[str, Any]]]


class AmbiguousDatabase(ValueError):
    """Private channels need a server that serves exactly one database."""


def activate(sql_db: Any, config: Mapping[str, Any]) -> None:
    """Lead ``postgres`` to the only database of ``config`` from now on, if the environment says so.

    ``sql_db`` is the module ``odoo.sql_db``; to activate it twice changes nothing.
    """
    wanted = os.environ.get(VARIABLE) == "1"
    if wanted and not getattr(sql_db.connection_info_for, "private", False):
        sql_db.connection_info_for = private(sql_db.connection_info_for, lambda: config["db_name"])


def private(connection_info_for: ConnectionInfo, database_names: Callable[[], list[str]]) -> ConnectionInfo:
    """Wrap Odoo's ``connection_info_for``; ``database_names`` is asked at each connection.

    The name given back stays ``postgres``: Odoo's cursors return no connection of that name to the pool, so
    that none is used again with a LISTEN still on.
    """

    def private_connection_info_for(name: str, *args: Any, **kwargs: Any) -> tuple[str, dict[str, Any]]:
        if name != SHARED_DATABASE:
            return connection_info_for(name, *args, **kwargs)
        _, info = connection_info_for(_only(database_names()), *args, **kwargs)
        label = info.get("application_name", "odoo")[: APPLICATION_LENGTH - len(APPLICATION_SUFFIX)]
        return SHARED_DATABASE, {**info, "application_name": label + APPLICATION_SUFFIX}

    private_connection_info_for.private = True
    return private_connection_info_for


def _only(names: list[str]) -> str:
    if len(names) != 1:
        raise AmbiguousDatabase(f"{VARIABLE}=1 needs exactly one db_name, and the configuration has {names}")
    return names[0]
