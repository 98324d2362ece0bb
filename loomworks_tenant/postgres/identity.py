"""Give a clone an identity of its own, in one transaction.

``CREATE DATABASE ... TEMPLATE`` copies the signing secret, the uuid, the keys and the passwords of the
template: until they are replaced, a session or a reset token of one clone opens every other one.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from psycopg2 import sql

from . import api_key

MARK = "loomworks.tenant_uuid"
SERVICE_USER = ("loomworks_client", "user_service")
ADMIN_USER = ("base", "user_admin")

# Whoever could log in to the template, or was logged in: not here. Tables of modules that are not
# installed are passed over.
CREDENTIAL_TABLES = (
    "res_users_apikeys",
    "res_users_log",
    "res_device_log",
    "auth_totp_device",
    "auth_totp_rate_limit_log",
    "auth_passkey_key",
    "change_password_user",
)
# Of a copy of a living tenant, whose users log in as they do there: what programs and devices come in with.
PROGRAMS_TABLES = ("res_users_apikeys", "res_device_log", "auth_totp_device", "change_password_user")

# What a clone must not share with its template, and what it keeps in its own place.
DROPPED_PARAMETERS = (
    "ir_attachment.location",
    "auth_signup.reset_password.validity.hours",
    "report.url",
    "loomworks.crons_wait",  # of a restore that was just being put in place (loomworks_client/waiting_crons.py)
)

SET_PARAMETER = """
    INSERT INTO ir_config_parameter (key, value, create_uid, create_date, write_uid, write_date)
         VALUES (%(key)s, %(value)s, 1, now() AT TIME ZONE 'UTC', 1, now() AT TIME ZONE 'UTC')
    ON CONFLICT (key) DO UPDATE SET value = excluded.value, write_date = excluded.write_date
"""

DELETE_PARAMETERS = "DELETE FROM ir_config_parameter WHERE key = ANY(%(keys)s)"

GET_PARAMETER = "SELECT value FROM ir_config_parameter WHERE key = %(key)s"

EXISTING_TABLES = """
    SELECT relname FROM pg_class
     WHERE relname = ANY(%(names)s) AND relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace
"""

USER_ID = "SELECT res_id FROM ir_model_data WHERE module = %(module)s AND name = %(name)s AND model = 'res.users'"

# Nobody knows a password of this database: each is set by its user, through the one-time link.
FORGET_PASSWORDS = "UPDATE res_users SET password = NULL, totp_secret = NULL WHERE password IS NOT NULL"
FORGET_PASSWORDS_WITHOUT_TOTP = "UPDATE res_users SET password = NULL WHERE password IS NOT NULL"

HAS_COLUMN = """
    SELECT 1 FROM pg_attribute
     WHERE attrelid = 'public.res_users'::regclass AND attname = 'totp_secret' AND NOT attisdropped
"""

NAME_ADMIN = "UPDATE res_users SET login = %(login)s WHERE id = %(id)s"
NAME_ADMIN_PARTNER = """
    UPDATE res_partner p SET name = %(name)s, email = %(login)s, complete_name = %(name)s
      FROM res_users u WHERE u.id = %(id)s AND p.id = u.partner_id
"""

ADD_KEY = """
    INSERT INTO res_users_apikeys (name, user_id, scope, index, key, create_date, expiration_date)
         VALUES ('Control plane', %(user)s, 'rpc', %(index)s, %(key)s, now() AT TIME ZONE 'UTC', NULL)
"""


@dataclass(frozen=True)
class Identity:
    """Who a database is."""

    tenant_uuid: str
    public_url: str
    admin_login: str
    admin_name: str
    service_key: str
    keeps_users: bool = False


def assign(cr: Any, identity: Identity) -> bool:
    """Make this database be ``identity``; False when it already was.

    :param cr: a cursor on the tenant's database, in a transaction, acting for the database's owner
    """
    cr.execute(GET_PARAMETER, {"key": MARK})
    row = cr.fetchone()
    if row and row["value"] == identity.tenant_uuid:
        return False
    if identity.keeps_users:
        _empty(cr, PROGRAMS_TABLES)
    else:
        _empty(cr, CREDENTIAL_TABLES)
        _forget_passwords(cr)
        _rename_admin(cr, identity)
    _add_service_key(cr, identity.service_key)
    set_parameters(cr, _parameters(identity))
    cr.execute(DELETE_PARAMETERS, {"keys": list(DROPPED_PARAMETERS)})
    return True


def set_parameters(cr: Any, parameters: dict[str, str]) -> None:
    """Write system parameters; a running Odoo reads ``loomworks.*`` afresh each time."""
    for key, value in sorted(parameters.items()):
        cr.execute(SET_PARAMETER, {"key": key, "value": value})


def _parameters(identity: Identity) -> dict[str, str]:
    return {
        "database.secret": secrets.token_urlsafe(48),
        "database.uuid": identity.tenant_uuid,
        "web.base.url": identity.public_url,
        "web.base.url.freeze": "True",
        MARK: identity.tenant_uuid,
    }


def _empty(cr: Any, tables: tuple[str, ...]) -> None:
    cr.execute(EXISTING_TABLES, {"names": list(tables)})
    for row in cr.fetchall():
        cr.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(row["relname"])))


def _forget_passwords(cr: Any) -> None:
    cr.execute(HAS_COLUMN)
    cr.execute(FORGET_PASSWORDS if cr.fetchone() else FORGET_PASSWORDS_WITHOUT_TOTP)


def _rename_admin(cr: Any, identity: Identity) -> None:
    user = _user_id(cr, ADMIN_USER)
    cr.execute(NAME_ADMIN, {"login": identity.admin_login, "id": user})
    cr.execute(NAME_ADMIN_PARTNER, {"login": identity.admin_login, "name": identity.admin_name, "id": user})


def _add_service_key(cr: Any, key: str) -> None:
    user = _user_id(cr, SERVICE_USER)
    cr.execute(ADD_KEY, {"user": user, "index": api_key.index(key), "key": api_key.hashed(key)})


def _user_id(cr: Any, xmlid: tuple[str, str]) -> int:
    cr.execute(USER_ID, {"module": xmlid[0], "name": xmlid[1]})
    row = cr.fetchone()
    if not row:
        raise LookupError(f"the template has no user {'.'.join(xmlid)}")
    return row["res_id"]
