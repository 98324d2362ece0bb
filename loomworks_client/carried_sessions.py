"""Users stay logged in when a restore changes the tenant's database.

A restored database has a name of its own (``t_<uuid>_r<number>``), and Odoo logs out whoever logged in to another one.
The sessions lie on the tenant's own volume; each is still checked by its token, which is made of the user's password
and the database's secret: whoever has changed the password since the restored moment logs in again.
"""

from __future__ import annotations

import re
from typing import Any

NAME = re.compile(r"^(t_[0-9a-f]{32})(_r[0-9]+)?$")


def activate(http: Any, config: Any) -> None:
    """Have sessions of the tenant's other databases count as the present one's; nothing for any other Odoo."""
    own, store = own_database(config), http.FilesystemSessionStore
    if not own or hasattr(store, "_loomworks_database"):
        return
    store._loomworks_database = own
    get = store.get

    def carried(self: Any, sid: str) -> Any:
        session = get(self, sid)
        session["db"] = present(session.get("db"), own)
        return session

    store.get = carried


def own_database(config: Any) -> str | None:
    """Return the one database that this Odoo serves, if it is a tenant's."""
    names = config["db_name"]
    names = [names] if isinstance(names, str) else list(names or ())
    return names[0] if len(names) == 1 and NAME.match(names[0]) else None


def present(database: str | None, own: str) -> str | None:
    """Return the name of the database that is meant: ``own``, for any that is or was the same tenant's."""
    if not database:
        return database
    found, wanted = NAME.match(database), NAME.match(own)
    return own if found and wanted and found[1] == wanted[1] else database
