"""Scheduled actions wait while a restore puts another database in the tenant's place.

For a moment, Odoo runs on both databases. Scheduled actions of both would send twice what waits to be sent, and fetch
mails into the one that goes. Those of the database that comes wait until the control plane takes the parameter away.
"""

from __future__ import annotations

from typing import Any

PARAMETER = "loomworks.crons_wait"
WAITING = "SELECT 1 FROM ir_config_parameter WHERE key = %s"


def activate(cron: Any) -> None:
    """Have no scheduled action be due while the parameter is there; to activate it twice changes nothing.

    ``cron`` is Odoo's class ``IrCron``: the server asks the class itself, not a registry's.
    """
    if hasattr(cron, "_loomworks_due"):
        return
    cron._loomworks_due = staticmethod(cron._get_all_ready_jobs)

    def due(cr: Any) -> list[dict[str, Any]]:
        cr.execute(WAITING, [PARAMETER])
        return [] if cr.fetchone() else cron._loomworks_due(cr)

    cron._get_all_ready_jobs = staticmethod(due)
