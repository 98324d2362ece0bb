"""Times that a server's present way does not have, from its repository and from what rows know of positions."""

from odoo import fields, models
from odoo.tools import SQL

from ..repository.archive import Archive
from ..repository.segments import format_lsn, parse_lsn
from ..repository.timelines import FIRST
from ..timeline.forks import Known, abandoned
from .tenant_past import stamp

LAST = (1 << 64) - 1  # the last position that there can be
# The snapshots of one timeline that are next to its ends: first and last up to where the way leaves it, first behind.
NEXT_TO_FORKS = """
    WITH known AS (
        SELECT wal_position, created_at, wal_position::pg_lsn AS lsn, wal_position::pg_lsn > %(end)s::pg_lsn AS behind
          FROM loomworks_snapshot
         WHERE server_id = %(server)s AND system_identifier = %(system)s AND timeline = %(timeline)s
           AND wal_position IS NOT NULL AND created_at IS NOT NULL
    )
    (SELECT wal_position, created_at FROM known WHERE NOT behind ORDER BY lsn LIMIT 1)
    UNION (SELECT wal_position, created_at FROM known WHERE NOT behind ORDER BY lsn DESC, created_at DESC LIMIT 1)
    UNION (SELECT wal_position, created_at FROM known WHERE behind ORDER BY lsn LIMIT 1)
"""


class DatabaseServer(models.Model):
    """A database server that may have been taken back to an earlier moment."""

    _inherit = "loomworks.database.server"

    def _abandoned_spans(self, catalog, timeline):
        """Return the spans of time of which the way along ``timeline`` may not have what the server did."""
        if not catalog or timeline == FIRST:
            return []
        archive = Archive(self._repository_store(), catalog.archive_id)
        known = [*self._backups_moments(catalog), *self._snapshots_moments(catalog, archive.path(timeline))]
        return abandoned(archive, timeline, known, stamp(fields.Datetime.now()))

    def _backups_moments(self, catalog):
        for backup in catalog.backups:
            if catalog.history(backup.history_id).archive_id == catalog.archive_id:
                yield Known(backup.timeline, backup.lsn_stop, backup.stopped)

    def _snapshots_moments(self, catalog, path):
        """Yield the oldest and the newest snapshot of each branch of the way, and the oldest that lies behind it.

        However many there are, it is those next to a fork that tell when it was.
        """
        self.env["loomworks.snapshot"].flush_model()
        branches = path.branches if path else ()
        for branch, end in zip(branches, [*(one.start for one in branches[1:]), LAST], strict=False):
            query = SQL(
                NEXT_TO_FORKS,
                server=self.id,
                system=str(catalog.system_identifier),
                timeline=branch.timeline,
                end=format_lsn(end),
            )
            for position, moment in self.env.execute_query(query):
                yield Known(branch.timeline, parse_lsn(position), stamp(moment))
