"""What the chart of a volume draws: its readings, and where they lead."""

from datetime import UTC, datetime, timedelta

from odoo import api, fields, models

SHOWN = timedelta(days=90)
MOST_POINTS = 300


class Volume(models.Model):
    """A volume that is drawn."""

    _inherit = "loomworks.volume"

    chart = fields.Json(compute="_compute_chart")

    @api.depends("read_at", "full_on")
    def _compute_chart(self):
        since = fields.Datetime.now() - SHOWN
        for volume in self:
            domain = [("volume_id", "=", volume.id), ("read_at", ">=", since)]
            rows = self.env["loomworks.volume.usage"].search_read(
                domain, ["read_at", "used_bytes", "size_bytes"], order="read_at"
            )
            step = max(1, -(-len(rows) // MOST_POINTS))
            shown = rows[-1::-step][::-1]  # the last one always
            readings = [[_epoch(row["read_at"]), row["used_bytes"], row["size_bytes"]] for row in shown]
            volume.chart = {"readings": readings, "ahead": volume._ahead()}

    def _ahead(self):
        """Return the line from the last reading to the day on which the volume is full.

        Nothing where no such day is known, or where it is full already.
        """
        if not self.full_on or self.used_bytes >= self.size_bytes:
            return []
        full_at = max(self.read_at, datetime.combine(self.full_on, datetime.min.time()))
        return [[_epoch(self.read_at), self.used_bytes], [_epoch(full_at), self.size_bytes]]


def _epoch(moment):
    """Return milliseconds, as charts count them."""
    return moment.replace(tzinfo=UTC).timestamp() * 1000
