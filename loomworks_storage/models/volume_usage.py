"""What volumes have been used by, over time; the older a reading, the fewer are kept beside it."""

from collections import defaultdict

from odoo import api, fields, models
from odoo.tools import SQL

from ..volumes.forecast import MOST_READINGS, Reading

DENSE_DAYS = 2  # every reading
HOURLY_DAYS = 30  # then the last of each hour
DAILY_DAYS = 730  # then the last of each day; then none

# Of the readings of one volume within one hour (day), all but the last. %(unit)s is of date_trunc.
SPARE = """
    DELETE FROM loomworks_volume_usage WHERE id IN (
        SELECT id FROM (
            SELECT id, row_number() OVER (
                PARTITION BY volume_id, date_trunc(%(unit)s, read_at) ORDER BY read_at DESC, id DESC
            ) AS place
            FROM loomworks_volume_usage WHERE read_at < %(before)s AND read_at >= %(since)s
        ) AS aged WHERE place > 1
    )
"""

# The readings that a forecast looks at, of many volumes at once: the last before each of so many moments, evenly from
# each volume's first within the time to its last. Each is one look into the index (volume_id, read_at).
SPREAD = """
    SELECT DISTINCT volume.id AS volume_id, reading.read_at, reading.used_bytes
      FROM unnest(%(volumes)s::integer[]) AS volume (id)
     CROSS JOIN LATERAL (
               SELECT min(read_at) AS first, max(read_at) AS last FROM loomworks_volume_usage
                WHERE volume_id = volume.id AND read_at >= %(since)s
           ) AS span
     CROSS JOIN generate_series(0, %(steps)s) AS step
     CROSS JOIN LATERAL (
               SELECT read_at, used_bytes FROM loomworks_volume_usage
                WHERE volume_id = volume.id AND read_at >= %(since)s
                  AND read_at <= span.first + (span.last - span.first) * step / %(steps)s
                ORDER BY read_at DESC LIMIT 1
           ) AS reading
     ORDER BY volume_id, read_at
"""


class VolumeUsage(models.Model):
    """One reading of a volume."""

    _name = "loomworks.volume.usage"
    _inherit = ["loomworks.own.defaults"]
    _description = "Reading of a volume"
    _order = "read_at desc, id desc"
    _rec_name = "read_at"
    _log_access = False

    volume_id = fields.Many2one("loomworks.volume", required=True, readonly=True, ondelete="cascade")
    tenant_id = fields.Many2one(related="volume_id.tenant_id", store=True, index=True)
    read_at = fields.Datetime("Read", required=True, readonly=True)
    used_bytes = fields.Float(digits=(20, 0), required=True, readonly=True, aggregator="max")
    size_bytes = fields.Float("File system (bytes)", digits=(20, 0), required=True, readonly=True, aggregator="max")
    inodes_used = fields.Float(digits=(20, 0), readonly=True, aggregator="max")
    used_gib = fields.Float("Used (GiB)", digits=(12, 3), compute="_compute_gib", store=True, aggregator="max")
    size_gib = fields.Float("Room (GiB)", digits=(12, 3), compute="_compute_gib", store=True, aggregator="max")

    _by_volume = models.Index("(volume_id, read_at)")

    @api.depends("used_bytes", "size_bytes")
    def _compute_gib(self):
        for usage in self:
            usage.used_gib = usage.used_bytes / 1024**3
            usage.size_gib = usage.size_bytes / 1024**3

    @api.model
    def _spread(self, volumes, since):
        """Return readings of each volume since a moment, evenly over the time: at most as many as a forecast takes.

        :return: by volume id, in the order of time
        """
        self.flush_model()
        values = {"volumes": volumes.ids, "since": since, "steps": MOST_READINGS - 1}
        found = defaultdict(list)
        for volume, at, used in self.env.execute_query(SQL(SPREAD, **values)):
            found[volume].append(Reading(at, used))
        return found

    @api.autovacuum
    def _gc_thin(self):
        """Keep every reading of two days, one an hour for a month, one a day for two years."""
        now = fields.Datetime.now()
        dense, hourly, daily = (
            fields.Datetime.subtract(now, days=days) for days in (DENSE_DAYS, HOURLY_DAYS, DAILY_DAYS)
        )
        self.flush_model()
        for unit, before, since in (("hour", dense, hourly), ("day", hourly, daily)):
            self.env.cr.execute(SQL(SPARE, unit=unit, before=before, since=since))
        self.env.cr.execute(SQL("DELETE FROM loomworks_volume_usage WHERE read_at < %s", daily))
        self.invalidate_model()
