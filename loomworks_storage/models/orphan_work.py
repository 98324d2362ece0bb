"""The reconciler's work on orphans whose deletion was confirmed: one look at each at a time."""

from odoo import fields, models
from odoo.addons.loomworks_tenant.errors import LoomworksError, PermanentError
from odoo.addons.loomworks_tenant.postgres.server import DatabaseServer as Server
from odoo.addons.loomworks_tenant.reconciler import backoff

from ..filestore.store import Store
from ..orphans import exports
from ..orphans.compare import orphans
from ..orphans.removal import Place, Refused, beside, look, remove
from ..orphans.sighting import IN_BUCKET, ON_SERVER, Kind
from .orphan import QUIET, RANK

GONE_LOOK = 2.0  # seconds between two looks at an object that is on its way
TURN_LOOK = 3.0  # seconds between two looks for the end of what goes first


class OrphanWork(models.Model):
    """Deleting what was confirmed."""

    _inherit = "loomworks.orphan"

    def _reconcile_step(self):
        orphan = self.try_lock_for_update(allow_referencing=True)
        if not orphan or not orphan.reconcile_at:
            return None
        if orphan.state != "confirmed":
            orphan.reconcile_at = False
            return None
        try:
            return orphan._delete()
        except LoomworksError as error:
            return orphan._record_failure(error)

    def _delete(self):
        if self._waits_for_others():
            return self._pause(TURN_LOOK)
        sighting, place = self._to_sighting(), self._place()
        found = look(sighting, place)
        if found:
            self._require_orphan(found, place)
            if not remove(found, place):
                return self._pause(GONE_LOOK)
        self.env["loomworks.audit"]._record("orphan_deleted", self, self._described() if found else "gone by itself")
        self.write({"state": "deleted", "closed_at": fields.Datetime.now(), "reconcile_at": False, **QUIET})
        return None

    def _require_orphan(self, found, place):
        """Compare it once more with the rows and the grace period, after it was seen.

        :raises Refused: when a row names it by now
        """
        if found not in orphans([*beside(found, place), found], self._known_now()):
            raise Refused("a tenant's row names it by now")
        if not self.deletable:
            raise Refused(f"it is too young: not before {fields.Datetime.to_string(self.deletable_at)} UTC")

    def _known_now(self):
        """Return what the rows name now, and not what they named when this step began."""
        with self.env.registry.cursor() as cr:
            return self.with_env(self.env(cr=cr))._known()

    def _place(self):
        """Return where the orphan is.

        :raises Refused: when the cluster does not say any more where files are
        """
        if Kind(self.kind) in ON_SERVER:
            return Place(server=Server(self.server_id._to_spec()))
        return Place(kube=self.cluster_id._client(), store=self._store() if Kind(self.kind) in IN_BUCKET else None)

    def _store(self):
        where = self.cluster_id._files_place()
        if not where:
            raise Refused("the cluster does not say any more where files are")
        location = where.location(self.tenant_uuid)
        return exports.beside(location) if self.kind == Kind.EXPORTS.value else Store(location)

    def _pause(self, seconds):
        self.reconcile_at = self._look_again(seconds)
        return seconds

    def _waits_for_others(self):
        """Tell whether something confirmed of the same tenant goes before it: what is used goes after what uses it."""
        if not self.tenant_uuid:
            return False
        others = self.search(
            [("tenant_uuid", "=", self.tenant_uuid), ("state", "=", "confirmed"), ("id", "!=", self.id)]
        )
        return any(RANK[one.kind] < RANK[self.kind] and not one.error_message for one in others)

    def _record_failure(self, error):
        """Note why it was not deleted; what another look would meet again goes back into the list."""
        values = {"error_message": str(error), "error_code": error.code, "attempts": self.attempts + 1}
        if isinstance(error, PermanentError):
            self.env["loomworks.audit"]._record("orphan_refused", self, str(error))
            self.write({**values, "state": "open", "reconcile_at": False})
            return None
        self.write(values)
        return self._pause(backoff.delay(self.attempts))
