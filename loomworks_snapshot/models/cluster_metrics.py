"""The figures of clusters, as Prometheus reads them: volumes, files, imports, and the buckets of everything."""

from odoo import api, models

from ..backup.metrics import Metric
from . import files_metrics, import_metrics, volume_metrics


class DatabaseServer(models.Model):
    """Database servers are what Prometheus asks; clusters are told besides."""

    _inherit = "loomworks.database.server"

    @api.model
    def _metrics(self):
        clusters = self.env["loomworks.cluster"]._in_use()
        makers = (*volume_metrics.MAKERS, *files_metrics.MAKERS, *import_metrics.MAKERS)
        found = getattr(super(), "_metrics", list)()
        return [*found, *(make(clusters) for make in makers), buckets(clusters, self._in_use())]


def buckets(clusters, servers):
    """Whose buckets take away, or keep, what they should not."""
    found = Metric("loomworks_bucket_settings_wrong", "1 while a setting of the bucket has to be changed.")
    for name, rows in (("cluster", clusters), ("server", servers)):
        for row in rows.filtered("bucket_state"):
            found.add(row.bucket_state == "wrong", **{name: row.name})
    return found
