"""What waits to be sent in two databases of one tenant: it is sent once.

Up to the moment of a restore both have the same past. A mail of that past that waits in the database that comes may
have been sent from the one that goes; then it must not be sent again. What waits in both is the new one's to send.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ...loomworks_tenant.postgres import identity
from ...loomworks_tenant.postgres.server import DatabaseServer, Owner, compose

CRONS_WAIT = "loomworks.crons_wait"  # loomworks_client/waiting_crons.py
EXISTS = "SELECT to_regclass('public.' || %(table)s) IS NOT NULL AS there"
WAITING = "SELECT id, create_date FROM {table} WHERE state = %(waiting)s AND create_date <= %(moment)s"
STILL_WAITING = "SELECT id, create_date FROM {table} WHERE state = %(waiting)s AND id = ANY(%(ids)s)"
CANCEL = "UPDATE {table} SET state = %(cancelled)s WHERE state = %(waiting)s AND id = ANY(%(ids)s)"


@dataclass(frozen=True)
class Queue:
    """A table of what waits to be sent, and the states of it."""

    table: str
    waiting: str
    cancelled: str


QUEUES = (Queue("mail_mail", "outgoing", "cancel"), Queue("sms_sms", "outgoing", "canceled"))


def hold(server: DatabaseServer, owner: Owner, database: str) -> None:
    """Have the scheduled actions of ``database`` wait, before its Odoo starts."""
    with server.connect(database, owner=owner) as cr:
        identity.set_parameters(cr, {CRONS_WAIT: "1"})


def release(server: DatabaseServer, owner: Owner, database: str) -> None:
    """Let them go on."""
    with server.connect(database, owner=owner) as cr:
        cr.execute(identity.DELETE_PARAMETERS, {"keys": [CRONS_WAIT]})


def cancel_sent(server: DatabaseServer, owner: Owner, before: str, database: str, moment: datetime) -> int:
    """Cancel in ``database`` what waits there and does not in ``before`` any more; return how much that was.

    :param moment: until which both have the same past (UTC, naive as Odoo's)
    """
    found = server.database(before)
    if not found or not found["datallowconn"]:
        return 0  # closed by an earlier call, after it had looked
    with server.connect(database, owner=owner) as cr, server.connect(before, owner=owner) as other:
        return sum(_cancel_sent(other, cr, moment, queue) for queue in QUEUES)


def _cancel_sent(before: Any, cr: Any, moment: datetime, queue: Queue) -> int:
    waiting = _rows(cr, queue, WAITING, moment=moment)
    if not waiting:
        return 0
    still = _rows(before, queue, STILL_WAITING, ids=[number for number, _made in waiting])
    sent = sorted(number for number, _made in waiting - still)
    values = {"waiting": queue.waiting, "cancelled": queue.cancelled, "ids": sent}
    cr.execute(compose(CANCEL, table=queue.table), values)
    return cr.rowcount


def _rows(cr: Any, queue: Queue, query: str, **values: Any) -> set[tuple[int, datetime]]:
    cr.execute(EXISTS, {"table": queue.table})
    if not cr.fetchone()["there"]:
        return set()
    cr.execute(compose(query, table=queue.table), {"waiting": queue.waiting, **values})
    return {(row["id"], row["create_date"]) for row in cr.fetchall()}
