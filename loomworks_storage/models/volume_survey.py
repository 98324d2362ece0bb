"""Looks at all volumes of a cluster, kept in rows: every few minutes, by a handful of requests."""

import logging
from datetime import timedelta

from odoo import api, fields, models
from odoo.addons.loomworks_tenant.errors import LoomworksError
from odoo.addons.loomworks_tenant.models.plan import ACCESS_MODES

from ..volumes.claim import Growth
from ..volumes.forecast import WINDOW, forecast
from ..volumes.survey import survey

_logger = logging.getLogger(__name__)

KNOWN_MODES = dict(ACCESS_MODES)
UNANSWERED = timedelta(minutes=10)  # after which a claim that asks for more has nobody who grows it
FORECAST_EVERY = timedelta(hours=1)
NO_CLAIM = {"phase": False, "access_mode": False, "capacity_bytes": 0, "growth": False, "growth_message": False}


class Cluster(models.Model):
    """A cluster whose volumes are looked at."""

    _inherit = "loomworks.cluster"

    volumes_read_at = fields.Datetime("Volumes looked at", readonly=True, copy=False)
    volumes_problem = fields.Text("Problem with the volumes", readonly=True, copy=False)

    @api.model
    def _cron_survey_volumes(self):
        """Look at the volumes of every cluster; then warn, and let those grow that may.

        A cluster that does not answer leaves the readings as they are, with their times.
        """
        clusters = self._in_use()
        self.env["ir.cron"]._commit_progress(remaining=len(clusters))
        for cluster in clusters:
            volumes = cluster._survey_volumes()
            self.env["ir.cron"]._commit_progress(0)  # what was read stays read, whatever comes of it
            volumes._act()
            self.env["ir.cron"]._commit_progress(1)

    def action_look_at_volumes(self):
        """Have the volumes of all clusters looked at now, or as soon as nothing else is being done."""
        self.env["loomworks.tenant"]._check_operator()
        self._look_at_volumes()

    @api.model
    def _look_at_volumes(self, delay=timedelta(0)):
        self.env.ref("loomworks_storage.cron_survey_volumes").sudo()._trigger(fields.Datetime.now() + delay)

    def _survey_volumes(self):
        """Keep what a look at this cluster finds; return the volumes with a new reading."""
        self.ensure_one()
        volumes = self.env["loomworks.volume"]
        try:
            found = survey(self._client())
        except LoomworksError as error:
            _logger.warning("the volumes of the cluster %s cannot be looked at: %s", self.name, error)
            self.volumes_problem = str(error)
            return volumes
        silent = "\n".join(f"{node}: {why}" for node, why in sorted(found.silent.items()))
        self.write({"volumes_read_at": fields.Datetime.now(), "volumes_problem": silent or False})
        return volumes._keep(self, found)


class Volume(models.Model):
    """A volume that is looked at."""

    _inherit = "loomworks.volume"

    @api.model
    def _keep(self, cluster, found):
        """Bring the rows of a cluster's volumes up to date, and return those with a new reading."""
        tenants = self.env["loomworks.tenant"].search([("cluster_id", "=", cluster.id), ("erased_at", "=", False)])
        rows = {row.tenant_id: row for row in self.search([("cluster_id", "=", cluster.id)])}
        claimed = tenants.filtered(lambda one: one.uuid in found.claims)
        missing = claimed.filtered(lambda one: one not in rows)
        rows |= {row.tenant_id: row for row in self.create([{"tenant_id": one.id} for one in missing])}
        (self.browse().concat(*rows.values())).filtered(lambda row: row.tenant_id.erased_at).unlink()
        fresh = self.browse()
        for tenant in tenants.filtered(lambda one: one in rows):
            row = rows[tenant]
            row._keep_claim(found.claims.get(tenant.uuid))
            if row._keep_usage(found.usages.get(tenant.uuid)):
                fresh |= row
        return fresh._remember()

    def _keep_claim(self, state):
        if state is None:
            return self._change({**NO_CLAIM, "reason": self.env._("The cluster has no claim of it.")})
        growing = state.growth != Growth.NONE
        since = (self.growing_since or fields.Datetime.now()) if growing else False
        late = state.growth == Growth.ASKED and fields.Datetime.now() - since > UNANSWERED
        return self._change(
            {
                "phase": state.phase,
                "reason": state.reason or False,
                "storage_class": state.storage_class or False,
                "access_mode": state.access_mode if state.access_mode in KNOWN_MODES else False,
                "requested_bytes": state.requested,
                "capacity_bytes": state.capacity or 0,
                "growth": "unanswered" if late else state.growth.value,
                "growth_message": state.growth_message or False,
                "growing_since": since,
            }
        )

    def _keep_usage(self, usage):
        """Keep what a kubelet measured; tell whether that is news."""
        at = usage and usage.read_at.replace(microsecond=0)
        if not usage or (self.read_at and at <= self.read_at):
            return False
        inodes, taken = usage.inodes or 0, usage.inodes_used or 0
        self._change(
            {
                "read_at": at,
                "used_bytes": usage.used,
                "size_bytes": usage.size,
                "used_percent": 100.0 * usage.used / usage.size,
                "inodes": inodes,
                "inodes_used": taken,
                "inodes_percent": 100.0 * taken / inodes if inodes else 0.0,
            }
        )
        return True

    def _change(self, values):
        """Write what differs: most looks find what the last one found."""
        changed = {name: value for name, value in values.items() if self[name] != value}
        if changed:
            self.write(changed)

    def _remember(self):
        """Add the present readings to the history, and see again when the volumes are full."""
        self.env["loomworks.volume.usage"].create(
            [
                {
                    "volume_id": row.id,
                    "read_at": row.read_at,
                    "used_bytes": row.used_bytes,
                    "size_bytes": row.size_bytes,
                    "inodes_used": row.inodes_used,
                }
                for row in self
            ]
        )
        now = fields.Datetime.now()
        self.filtered(lambda one: not one.forecast_at or one.forecast_at <= now - FORECAST_EVERY)._foresee(now)
        return self

    def _foresee(self, now):
        """See when these volumes are full; one query for all."""
        readings = self.env["loomworks.volume.usage"]._spread(self, now - WINDOW)
        for row in self:
            found = forecast(readings[row.id], row.size_bytes, now)
            row.write(
                {
                    "outlook": found.outlook.value,
                    "per_day_bytes": found.per_day,
                    "full_on": found.full_on or False,
                    "forecast_at": now,
                }
            )
