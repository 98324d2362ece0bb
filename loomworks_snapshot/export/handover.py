"""What is changed in a restored database before it is handed to the customer, and what is asked of it.

Everything in it is the customer's own, but what is the platform's: the key by which the control plane comes in, the
secret that signs the living tenant's sessions and links, and limits. An Odoo elsewhere does not have the platform's
modules; nothing of them that would break its pages or fail in its scheduler stays switched on. Their tables stay: the
log of operations is the customer's, too.
"""

from __future__ import annotations

from typing import Any

from .errors import NotAnOdoo

IS_ODOO = (
    "SELECT to_regclass('public.ir_module_module') IS NOT NULL AND to_regclass('public.ir_attachment') IS NOT NULL"
)
SERVICE_USER = """
    SELECT res_id FROM ir_model_data WHERE module = 'loomworks_client' AND name = 'user_service' AND model = 'res.users'
"""
OWN_RECORDS = r"SELECT res_id FROM ir_model_data WHERE model = %(model)s AND module LIKE 'loomworks\_%%'"
STATEMENTS = (
    "DELETE FROM res_users_apikeys WHERE user_id = ANY(%(users)s)",
    "UPDATE res_users SET active = false, password = NULL WHERE id = ANY(%(users)s)",
    "DELETE FROM ir_config_parameter WHERE key LIKE 'loomworks.%%' OR key = 'web.base.url.freeze'",
    # Odoo signs with it, and does not make one by itself: it gets one that nobody knows yet.
    "UPDATE ir_config_parameter SET value = gen_random_uuid()::text WHERE key = 'database.secret'",
    "UPDATE ir_ui_view SET active = false WHERE id = ANY(%(views)s)",
    "UPDATE ir_cron SET active = false WHERE id = ANY(%(crons)s)",
    r"UPDATE ir_module_module SET state = 'uninstalled' WHERE name LIKE 'loomworks\_%%'",
)
MODULES = "SELECT name, latest_version FROM ir_module_module WHERE state = 'installed' ORDER BY name"


def prepare(cr: Any) -> None:
    """Take out what is the platform's; the transaction is committed.

    :raises NotAnOdoo: when it is no database of Odoo's
    """
    cr.execute(IS_ODOO)
    if not cr.fetchone()[0]:
        raise NotAnOdoo("the restored database is not that of an Odoo")
    ids = {
        "users": _ids(cr, SERVICE_USER),
        "views": _ids(cr, OWN_RECORDS, model="ir.ui.view"),
        "crons": _ids(cr, OWN_RECORDS, model="ir.cron"),
    }
    for statement in STATEMENTS:
        cr.execute(statement, ids)
    cr.connection.commit()


def manifest(cr: Any, database: str) -> dict[str, Any]:
    """Return what Odoo writes of a database into ``manifest.json``; its version is that of its module ``base``."""
    cr.execute(MODULES)
    modules = dict(cr.fetchall())
    series = ".".join((modules.get("base") or "").split(".")[:2])
    numbers = [int(part) for part in series.split(".") if part.isdigit()]
    return {
        "odoo_dump": "1",
        "db_name": database,
        "version": series,
        "version_info": [*numbers, 0, "final", 0, ""],
        "major_version": series,
        "pg_version": f"{cr.connection.server_version // 10000}.0",  # as Odoo writes it
        "modules": modules,
    }


def _ids(cr: Any, query: str, **values: str) -> list[int]:
    cr.execute(query, values)
    return [number for (number,) in cr.fetchall()]
