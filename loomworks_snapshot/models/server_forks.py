"""Times that a server's present way does not have, from its repository and from what rows know of positions."""

from odoo import fields, models

from ..repository.archive import Archive
from ..repository.segments import parse_lsn
from ..repository.timelines import FIRST
from ..timeline.forks import Known, abandoned
from .tenant_past import stamp

KNOWN = 5000  # of the newest snapshots, whose positions tell the time


class DatabaseServer(models.Model):
    """A database server that may have been taken back to an earlier moment."""

    _inherit = "loomworks.database.server"

    def _abandoned_spans(self, catalog, timeline):
        """Return the spans of time of which the way along ``timeline`` may not have what the server did."""
        if not catalog or timeline == FIRST:
            return []
        archive = Archive(self._repository_store(), catalog.archive_id)
        return abandoned(archive, timeline, self._known_moments(catalog), stamp(fields.Datetime.now()))

    def _known_moments(self, catalog):
        for backup in catalog.backups:
            if catalog.history(backup.history_id).archive_id == catalog.archive_id:
                yield Known(backup.timeline, backup.lsn_stop, backup.stopped)
        domain = [("server_id", "=", self.id), ("wal_position", "!=", False)]
        domain += [("system_identifier", "=", str(catalog.system_identifier))]
        for one in self.env["loomworks.snapshot"].sudo().search(domain, order="created_at desc", limit=KNOWN):
            yield Known(one.timeline, parse_lsn(one.wal_position), stamp(one.created_at))
