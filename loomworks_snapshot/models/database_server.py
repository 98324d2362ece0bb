"""A database server's repository: how it is to be backed up, how it stands, and what is wrong with it."""

import logging
import math
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from odoo import api, fields, models
from odoo.addons.loomworks_tenant.errors import LoomworksError
from odoo.addons.loomworks_tenant.postgres.server import DatabaseServer as Server
from odoo.exceptions import UserError

from ..backup import health
from ..backup.base_backup import KINDS, usable
from ..backup.schedule import DAY, MIB, Policy, failures
from ..backup.watch import Order, attend
from ..backup.work import Repository
from .base_backup import moment, update

_logger = logging.getLogger(__name__)

THREADS = 8
FOLLOW = 5  # seconds between two looks while something is being done
WORK_KINDS = (*KINDS, "expire", "check", "verify")
ACTIVITY = "loomworks_snapshot.activity_repository"


class DatabaseServer(models.Model):
    """A database server with its repository."""

    _name = "loomworks.database.server"
    _inherit = ["loomworks.database.server", "mail.thread", "loomworks.alarms"]

    full_every_days = fields.Integer("Full backup every (days)", required=True, default=7)
    incremental_wal_mib = fields.Integer(
        "Incremental backup after WAL of (MiB)",
        required=True,
        default=1024,
        help="And at least once a day. A restore replays at most about this much.",
    )
    window_days = fields.Integer(
        "Any moment of the last (days)", required=True, default=14, help="Can be restored; snapshots may reach further."
    )
    requested_backup = fields.Selection(
        [("full", "Full"), ("incr", "Incremental")], "Asked for", readonly=True, copy=False
    )
    base_backup_ids = fields.One2many("loomworks.base.backup", "server_id", "Base backups", readonly=True)

    backup_state = fields.Selection(
        [("unknown", "Not known"), ("fit", "Fit"), ("problem", "Problem")],
        "Backups",
        required=True,
        default="unknown",
        readonly=True,
        copy=False,
    )
    backup_message = fields.Text("What is wrong", readonly=True, copy=False)
    backup_checked_at = fields.Datetime("Looked at", readonly=True, copy=False)
    last_backup_at = fields.Datetime("Last base backup", readonly=True, copy=False)
    last_backup_age = fields.Float("Age of the last base backup (h)", compute="_compute_last_backup_age")
    archive_lag_seconds = fields.Integer("Archive lag (s)", readonly=True, copy=False)
    unarchived_seconds = fields.Integer(
        "Not in the repository yet (s)",
        readonly=True,
        copy=False,
        help="How old the oldest change can be that would be lost with the server.",
    )
    archive_lag_bytes = fields.Float("WAL that waits", digits=(20, 0), readonly=True, copy=False)
    archive_failed_count = fields.Integer("Failed attempts to archive", readonly=True, copy=False)
    last_archived_wal = fields.Char("Last archived segment", readonly=True, copy=False)
    last_archived_at = fields.Datetime(readonly=True, copy=False)
    repository_backup_bytes = fields.Float("Base backups", digits=(20, 0), readonly=True, copy=False)
    repository_archive_bytes = fields.Float("WAL archive", digits=(20, 0), readonly=True, copy=False)
    work_failures = fields.Json(readonly=True, copy=False, help="Failures since the last success, by kind of work.")

    _policy_positive = models.Constraint(
        "CHECK(full_every_days > 0 AND incremental_wal_mib >= 16 AND window_days > 0)",
        "Days must be at least 1, and an incremental backup follows at least 16 MiB of WAL.",
    )

    def _compute_last_backup_age(self):
        now = fields.Datetime.now()
        for server in self:
            age = now - server.last_backup_at if server.last_backup_at else timedelta()
            server.last_backup_age = age.total_seconds() / 3600

    # --- what people do -----------------------------------------------------------------------------

    def action_backup_full(self):
        """Have a full base backup made."""
        return self._request_backup("full")

    def action_backup_incremental(self):
        """Have an incremental base backup made."""
        return self._request_backup("incr")

    def _request_backup(self, kind):
        self.check_access("write")
        if not self.env.su and not self.env.user.has_group("loomworks_tenant.group_operator"):
            raise UserError(self.env._("Only operators start base backups."))
        self.write({"requested_backup": kind})
        self.env["loomworks.audit"]._record(f"backup_{kind}", self)
        self._wake_watch()
        message = self.env._("The backup has been asked for. It is listed below as soon as it has begun.")
        return {
            "type": "ir.actions.client",
            "tag": "display_notification",
            "params": {"message": message, "next": {"type": "ir.actions.client", "tag": "soft_reload"}},
        }

    def action_base_backups(self):
        """Show this server's base backups."""
        self.ensure_one()
        action = self.env["ir.actions.act_window"]._for_xml_id("loomworks_snapshot.action_base_backup")
        return {**action, "domain": [("server_id", "=", self.id)], "context": {"default_server_id": self.id}}

    # --- what is to be kept -------------------------------------------------------------------------

    def _needed_targets(self):
        """Return what must stay restorable beyond the window: ``expiry.Target`` or labels of base backups.

        To be extended by whatever promises a way back to a moment.
        """
        self.ensure_one()
        return []

    def _to_order(self):
        """Return policy, kept targets and what somebody asked for, as the engine takes it."""
        self.ensure_one()
        policy = Policy(
            full_every=self.full_every_days * DAY,
            incremental_wal=self.incremental_wal_mib * MIB,
            window=self.window_days * DAY,
        )
        return Order(policy, tuple(self._needed_targets()), self.requested_backup or "")

    # --- looking ------------------------------------------------------------------------------------

    @api.model
    def _cron_watch_repositories(self):
        """Look at every server, ask for what is due, and record how each stands."""
        servers = self.sudo()._in_use()
        orders = [(server._to_spec(), server._to_order()) for server in servers]
        self.env["ir.cron"]._commit_progress(remaining=len(servers))  # no transaction is open while servers are asked
        with ThreadPoolExecutor(THREADS, thread_name_prefix="repository") as pool:
            looks = list(pool.map(lambda pair: ask(*pair), orders))
        for server, (_spec, order), look in zip(servers, orders, looks, strict=True):
            server._record_or_log(look, order)
            self.env["ir.cron"]._commit_progress(1)
        if any(server.requested_backup or is_busy(look) for server, look in zip(servers, looks, strict=True)):
            self._wake_watch(fields.Datetime.now() + timedelta(seconds=FOLLOW))

    @api.model
    def _wake_watch(self, at=None):
        self.env.ref("loomworks_snapshot.cron_watch_repositories").sudo()._trigger(at)

    def _record_or_log(self, look, order):
        """Record in a savepoint of its own: what one server says must not keep the others from being recorded."""
        try:
            with self.env.cr.savepoint():
                self._record_look(look, order)
        except Exception:
            _logger.exception("the repository of the server %s could not be recorded", self.name)

    def _record_look(self, look, order):
        """Keep what a look found, or why there was none."""
        self.ensure_one()
        if isinstance(look, LoomworksError):
            self._record_problems([str(look)], unreachable=True)
            return
        if self.requested_backup == order.requested:
            self.requested_backup = False
        update(self, facts(look))
        self.env["loomworks.base.backup"]._record(self, look)
        self._note_forgotten()
        self._record_problems(health.problems(look, order.policy))

    def _record_problems(self, problems, unreachable=False):
        """Keep the verdict, and tell operators of problems for as long as there are any."""
        state = "problem" if problems else "fit"
        message = "\n".join(problems) or False
        is_new = state == "problem" and self.backup_state != "problem"
        is_other = message != self.backup_message
        values = {"backup_state": state, "backup_message": message, "backup_checked_at": fields.Datetime.now()}
        self.write({name: value for name, value in values.items() if not (unreachable and name == "backup_checked_at")})
        if is_new:
            self._raise_alarm(ACTIVITY, message)
        elif problems and is_other:
            self._update_alarm(ACTIVITY, message)
        elif not problems:
            self.activity_unlink([ACTIVITY])


def ask(spec, order):
    """Look at one server and ask for what is due; return the error of one that cannot be asked.

    Whatever goes wrong with one server is that server's problem, and does not keep the others from being looked at.
    """
    try:
        return attend(Repository(Server(spec)), order)
    except LoomworksError as error:
        return error
    except Exception as error:
        _logger.exception("looking at the repository of %s broke", spec.host)
        return LoomworksError(f"unexpected {type(error).__name__}: {error}", "See the control plane's log.")


def is_busy(look):
    """Tell whether the server's steward has something to do."""
    return not isinstance(look, LoomworksError) and any(work.finished is None for work in look.work)


def facts(look):
    """Return the fields that a look fills."""
    own = [one for one in look.backups if one.system_identifier == look.system_identifier]
    last = max((one.stopped for one in usable(own)), default=None)
    return {
        "last_backup_at": moment(last),
        "archive_lag_seconds": int(look.archive.lag_seconds),
        "unarchived_seconds": math.ceil(look.unarchived_seconds),
        "archive_lag_bytes": look.archive.lag_bytes,
        "archive_failed_count": look.archive.failed_count,
        "last_archived_wal": look.archive.last_archived_wal or False,
        "last_archived_at": moment(look.archive.last_archived),
        "repository_backup_bytes": look.backup_bytes,
        "repository_archive_bytes": look.archive_bytes,
        "work_failures": failures_by_kind(look),
    }


def failures_by_kind(look):
    """Return how often each kind of work has failed; a backup of any kind ends the failures of all backups."""
    found = failures([one for one in look.work if one.kind in KINDS])
    for kind in ("expire", "check", "verify"):
        found += failures([one for one in look.work if one.kind == kind])
    return {kind: sum(one.kind == kind for one in found) for kind in WORK_KINDS}
