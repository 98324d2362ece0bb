"""Whether a copied database can still reach the world outside: looked at in the database itself, before it is served.

What switches everything off is each module's own ``data/neutralize.sql`` (Odoo's convention; the Job runs them in the
tenant's image). This is the second look, from outside: of the switches that send, fetch, pay or call, none may be on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg2 import sql

from ...loomworks_tenant.errors import PermanentError
from ...loomworks_tenant.postgres import identity
from ...loomworks_tenant.postgres.server import DatabaseServer, Owner, compose

MARK = "loomworks.neutralised"
NAMED = 5  # records that an error names

HAS_COLUMNS = """
    SELECT count(*) = cardinality(%(columns)s::text[]) AS there FROM pg_attribute
     WHERE attrelid = to_regclass('public.' || %(table)s) AND attname = ANY(%(columns)s) AND NOT attisdropped
"""
# Housekeeping of this platform's own addons, which stays inside the database, goes on.
KEEP_OWN_CRONS = """
    UPDATE ir_cron SET active = true
     WHERE id IN (SELECT res_id FROM ir_model_data WHERE model = 'ir.cron' AND module LIKE %(modules)s)
"""
OWN_MODULES = r"loomworks\_%"
IS_NEUTRALISED = "SELECT 1 FROM ir_config_parameter WHERE key = 'database.is_neutralized' AND value IN ('true', 'True')"


@dataclass(frozen=True)
class Switch:
    """Something that reaches outside: which table, which columns are asked for, and which rows of it are on."""

    name: str
    table: str
    columns: tuple[str, ...]
    on: str  # a condition; what the database's own tables say, nothing from outside


SWITCHES = (
    Switch(
        "scheduled action",
        "ir_cron",
        ("active",),
        "active AND id NOT IN (SELECT res_id FROM ir_model_data WHERE model = 'ir.cron' AND "
        "(module = 'base' AND name = 'autovacuum_job' OR module LIKE 'loomworks\\_%%'))",
    ),
    Switch("outgoing mail server", "ir_mail_server", ("active", "smtp_host"), "active AND smtp_host <> 'invalid'"),
    Switch("incoming mail server", "fetchmail_server", ("active",), "active"),
    Switch("payment provider", "payment_provider", ("state",), "state = 'enabled'"),
    Switch("webhook", "ir_act_server", ("state", "webhook_url"), "state = 'webhook' AND webhook_url LIKE 'http%%'"),
    Switch("IAP account", "iap_account", ("account_token",), "account_token NOT LIKE '%%+disabled'"),
    Switch("sign-in provider", "auth_oauth_provider", ("enabled",), "enabled"),
    Switch("delivery carrier", "delivery_carrier", ("prod_environment",), "prod_environment"),
    Switch("mail that waits to be sent", "mail_mail", ("state",), "state = 'outgoing'"),
    Switch("SMS that waits to be sent", "sms_sms", ("state",), "state IN ('outgoing', 'process')"),
    Switch("device for notifications", "mail_push_device", ("id",), "true"),
    Switch("Google calendar", "res_users_settings", ("google_calendar_rtoken",), "google_calendar_rtoken IS NOT NULL"),
    Switch(
        "Outlook calendar",
        "res_users_settings",
        ("microsoft_calendar_rtoken",),
        "microsoft_calendar_rtoken IS NOT NULL",
    ),
    Switch(
        "API key",
        "res_users_apikeys",
        ("user_id",),
        "user_id NOT IN (SELECT res_id FROM ir_model_data WHERE module = 'loomworks_client' AND name = 'user_service')",
    ),
)


class NotNeutralised(PermanentError):
    """Something in the copy would still reach the world outside."""

    code = "not_neutralised"


def is_finished(server: DatabaseServer, owner: Owner, database: str, uuid: str) -> bool:
    """Tell whether this database was found neutral before, as that of ``uuid``: its users may have changed it since."""
    with server.connect(database, owner=owner) as cr:
        cr.execute(identity.GET_PARAMETER, {"key": MARK})
        row = cr.fetchone()
    return bool(row) and row["value"] == uuid


def finish(server: DatabaseServer, owner: Owner, database: str, uuid: str) -> None:
    """Look at every switch, and remember that none is on.

    :raises NotNeutralised: naming what is on; nothing is remembered then
    """
    with server.connect(database, owner=owner) as cr:
        cr.execute(KEEP_OWN_CRONS, {"modules": OWN_MODULES})
        if found := live(cr):
            raise NotNeutralised(
                f"the copy could still reach the world outside: {'; '.join(found)}",
                "Switch these off in a data/neutralize.sql of the module that they belong to, then use Retry.",
            )
        identity.set_parameters(cr, {MARK: uuid})


def live(cr: Any) -> list[str]:
    """Return what is still on in this database, in words."""
    cr.execute(IS_NEUTRALISED)
    found = [] if cr.fetchone() else ["the database is not marked as neutralised"]
    return found + [said for switch in SWITCHES if (said := _on(cr, switch))]


def _on(cr: Any, switch: Switch) -> str:
    cr.execute(HAS_COLUMNS, {"table": switch.table, "columns": list(switch.columns)})
    if not cr.fetchone()["there"]:
        return ""  # no such module
    query = "SELECT id, count(*) OVER () AS count FROM {table} WHERE {on} ORDER BY id LIMIT %(named)s"
    cr.execute(compose(query, table=switch.table, on=sql.SQL(switch.on)), {"named": NAMED})
    rows = cr.fetchall()
    if not rows:
        return ""
    numbers = ", ".join(str(row["id"]) for row in rows)
    return f"{rows[0]['count']} {switch.name} ({switch.table} {numbers})"
