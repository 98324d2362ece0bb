"""Base backups of database servers: one row each, however it was started, kept when it is gone."""

from datetime import UTC, datetime

from odoo import api, fields, models

from ..backup.base_backup import KINDS
from ..repository.segments import format_lsn

KEPT_DAYS = 365  # of rows whose backup failed or is gone


class BaseBackup(models.Model):
    """A base backup in a server's repository, one that is being made, or one that was."""

    _name = "loomworks.base.backup"
    _inherit = ["loomworks.own.defaults"]
    _description = "Base backup"
    _order = "started_at desc, id desc"
    _rec_name = "label"

    server_id = fields.Many2one("loomworks.database.server", required=True, ondelete="cascade", index=True)
    label = fields.Char(readonly=True, index=True, help="Its name in the repository.")
    backup_type = fields.Selection(
        [("full", "Full"), ("diff", "Differential"), ("incr", "Incremental")], required=True, readonly=True
    )
    state = fields.Selection(
        [("running", "Running"), ("done", "Done"), ("failed", "Failed"), ("expired", "Expired")],
        required=True,
        readonly=True,
        help="Running: asked for or being made. Expired: no longer in the repository.",
    )
    prior_label = fields.Char("Builds on", readonly=True)
    started_at = fields.Datetime(readonly=True)
    finished_at = fields.Datetime(readonly=True)
    duration = fields.Float("Duration (s)", digits=(16, 0), readonly=True)
    lsn_start = fields.Char("First LSN", readonly=True)
    lsn_stop = fields.Char("Last LSN", readonly=True)
    wal_start = fields.Char("First WAL segment", readonly=True)
    wal_stop = fields.Char("Last WAL segment", readonly=True)
    timeline = fields.Integer(readonly=True)
    system_identifier = fields.Char(readonly=True)
    size_bytes = fields.Float("Size of the data", digits=(20, 0), readonly=True)
    repository_delta_bytes = fields.Float("Added to the repository", digits=(20, 0), readonly=True)
    repository_bytes = fields.Float(
        "In the repository", digits=(20, 0), readonly=True, help="With all the backups that it builds on."
    )
    page_errors = fields.Boolean(
        readonly=True, help="Pages with wrong checksums were met: it is no base for a restore."
    )
    error_message = fields.Text("Problem", readonly=True)
    work_number = fields.Integer(readonly=True, help="Of the steward's list of work; 0: it was made by hand.")
    asked_at = fields.Datetime(readonly=True)

    _label_unique = models.UniqueIndex("(server_id, label) WHERE label IS NOT NULL", "There is a row for it already.")

    @api.model
    def _record(self, server, look):
        """Bring the rows of ``server`` to what it says: work that was asked for, backups that are there."""
        rows = self.sudo().search([("server_id", "=", server.id)])
        self._record_work(server, rows, [work for work in look.work if work.kind in KINDS])
        if look.info_taken is not None:
            self._record_backups(server, look)

    def _record_work(self, server, rows, works):
        """Write what came of each piece of work to its row, made if need be."""
        numbered = {(row.work_number, row.asked_at): row for row in rows if row.work_number}
        labelled = {row.label: row for row in rows if row.label}
        for work in works:
            row = numbered.get((work.id, moment(work.asked)), self.browse())
            same = labelled.get(work.label, row)
            if same != row:  # its backup was seen before its end was
                row.unlink()
                row = same
            values = values_of_work(work)
            if row.state in {"done", "expired"}:
                values = {name: values[name] for name in ("work_number", "asked_at")}
            if not update(row, values):
                self.sudo().create({"server_id": server.id, **values})

    def _record_backups(self, server, look):
        rows = self.sudo().search([("server_id", "=", server.id), ("label", "!=", False)])
        labelled = {row.label: row for row in rows}
        for backup in look.backups:
            if not update(labelled.pop(backup.label, self.browse()), values_of(backup)):
                self.sudo().create({"server_id": server.id, "label": backup.label, **values_of(backup)})
        listed_at = moment(look.info_taken)  # what ended after that is not listed yet
        gone = [row.id for row in labelled.values() if row.state == "done" and row.finished_at < listed_at]
        self.sudo().browse(gone).state = "expired"

    @api.autovacuum
    def _forget(self):
        """Remove rows of backups that failed or went long ago."""
        limit = fields.Datetime.subtract(fields.Datetime.now(), days=KEPT_DAYS)
        self.search([("state", "in", ("failed", "expired")), ("started_at", "<", limit)]).unlink()


def moment(seconds):
    """Return seconds since 1970 as Odoo keeps times: UTC, whole seconds, no time zone."""
    return datetime.fromtimestamp(int(seconds), UTC).replace(tzinfo=None) if seconds else False


def state_of(work):
    """Return the state of a row for this work."""
    if work.failed:
        return "failed"
    return "done" if work.succeeded else "running"


def values_of_work(work):
    """Return the fields of a backup that was asked for."""
    return {
        "state": state_of(work),
        "backup_type": work.kind,
        "label": work.label or False,
        "work_number": work.id,
        "asked_at": moment(work.asked),
        "started_at": moment(work.started or work.asked),
        "finished_at": moment(work.finished),
        "duration": int(work.finished - work.started) if work.finished and work.started else 0,
        "error_message": work.message if work.failed else False,
    }


def values_of(backup):
    """Return the fields of a backup that is in the repository."""
    return {
        "state": "done",
        "backup_type": backup.kind,
        "prior_label": backup.prior or False,
        "started_at": moment(backup.started),
        "finished_at": moment(backup.stopped),
        "duration": backup.stopped - backup.started,
        "lsn_start": format_lsn(backup.lsn_start),
        "lsn_stop": format_lsn(backup.lsn_stop),
        "wal_start": backup.wal_start,
        "wal_stop": backup.wal_stop,
        "timeline": backup.timeline,
        "system_identifier": backup.system_identifier,
        "size_bytes": backup.size,
        "repository_delta_bytes": backup.repository_delta,
        "repository_bytes": backup.repository_size,
        "page_errors": backup.failed,
        "error_message": False,
    }


def update(row, values):
    """Write what differs, so that a look that finds nothing new writes nothing; return the row."""
    changed = {name: value for name, value in values.items() if row and row[name] != value}
    if changed:
        row.write(changed)
    return row
