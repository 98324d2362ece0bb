"""What the reconciler needs of a row, and the cron that runs it."""

import logging
import threading
from contextlib import closing
from datetime import timedelta
from itertools import zip_longest

from odoo import SUPERUSER_ID, api, fields, models
from odoo.modules.registry import Registry
from odoo.service.model import PG_CONCURRENCY_EXCEPTIONS_TO_RETRY

from ..reconciler.worker import Worker

_logger = logging.getLogger(__name__)

RUN_SECONDS = 50  # one run of the cron; the next one is triggered while there is work
THREADS = 8
DUE_LIMIT = 64
RACE_PAUSE = 0.2  # seconds


class Reconcilable(models.AbstractModel):
    """A row whose outside world is brought step by step to what the row says."""

    _name = "loomworks.reconcilable"
    _inherit = ["loomworks.own.defaults"]
    _description = "Reconciled record"

    reconcile_at = fields.Datetime(
        "Next look", index="btree_not_null", copy=False, readonly=True, help="Empty: everything is as it should be."
    )
    error_message = fields.Text("Problem", copy=False, readonly=True)
    error_code = fields.Char(copy=False, readonly=True)

    @api.model
    def _reconciled_models(self):
        """Return the names of the models that the reconciler serves, in order of urgency."""
        return ["loomworks.template", "loomworks.tenant"]

    def _reconcile_step(self):
        """Do one step of this row's work and record it.

        Return the seconds until the next one: 0 for at once, None when there is none or another worker has the row.
        """
        raise NotImplementedError

    def _request_reconcile(self):
        """Have the rows looked at as soon as this transaction is committed."""
        self.write({"reconcile_at": fields.Datetime.now()})
        self._wake_reconciler()

    @api.model
    def _wake_reconciler(self, at=None):
        self.env.ref("loomworks_tenant.cron_reconcile").sudo()._trigger(at)

    @api.model
    def _cron_reconcile(self):
        """Reconcile whatever is due, in parallel; come back when the next row is due."""
        dbname = self.env.cr.dbname
        Worker(lambda: _due(dbname), lambda key: _work(dbname, key), THREADS).run(RUN_SECONDS)
        self.env.cr.rollback()  # a fresh look: the threads have written meanwhile
        upcoming = [at for model in self._reconciled_models() if (at := self.env[model]._next_look())]
        if upcoming:
            self._wake_reconciler(max(min(upcoming), fields.Datetime.now()))

    @api.model
    def _next_look(self):
        found = self.sudo().search([("reconcile_at", "!=", False)], order="reconcile_at", limit=1)
        return found.reconcile_at

    @api.model
    def _due_rows(self, limit):
        """Return the rows that a worker should take up now, the longest waiting first."""
        return self.search([("reconcile_at", "<=", fields.Datetime.now())], order="reconcile_at", limit=limit)

    def _look_again(self, seconds):
        """Return the moment ``seconds`` from now."""
        return fields.Datetime.now() + timedelta(seconds=seconds)


def _due(dbname):
    """List (model, id) of the rows that are due, through a cursor of its own: by turns, so that no model starves."""
    with closing(Registry(dbname).cursor()) as cr:
        env = api.Environment(cr, SUPERUSER_ID, {})
        due = [
            [(model, row.id) for row in env[model]._due_rows(DUE_LIMIT)]
            for model in env["loomworks.reconcilable"]._reconciled_models()
        ]
    return [key for turn in zip_longest(*due) for key in turn if key]


def _work(dbname, key):
    """Take one row as far as it goes now, each step in a transaction of its own.

    Return the seconds to leave it alone.
    """
    threading.current_thread().dbname = dbname
    model, row_id = key
    pause = 0
    while pause == 0:
        try:
            with Registry(dbname).cursor() as cr:
                pause = api.Environment(cr, SUPERUSER_ID, {})[model].browse(row_id)._reconcile_step()
        except PG_CONCURRENCY_EXCEPTIONS_TO_RETRY:
            pause = RACE_PAUSE  # somebody changed the row meanwhile; steps may be run again
    return pause or 0.0
