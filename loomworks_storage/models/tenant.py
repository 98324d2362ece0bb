"""The tenant's volume: what it should be, put between the reconciler's steps."""

from odoo import api, fields, models
from odoo.addons.loomworks_tenant.kube import names
from odoo.addons.loomworks_tenant.reconciler.engine import StepState
from odoo.addons.loomworks_tenant.reconciler.spec import VolumeSpec

from ..reconciler.files import Files, FilesKey
from ..reconciler.left_volume import LeftVolume
from ..reconciler.steps import Volume, VolumeClaim, VolumeGrowth


class Tenant(models.Model):
    """A tenant with a volume of its own."""

    _inherit = "loomworks.tenant"

    volume_claim_name = fields.Char("Volume claim", compute="_compute_volume_claim_name")
    volume_claimed = fields.Boolean(readonly=True, copy=False, help="It has had a claim, and may have files on it.")

    def _compute_volume_claim_name(self):
        for tenant in self:
            tenant.volume_claim_name = names.volume_claim(tenant.uuid) if tenant.uuid else False

    def _spec_values(self):
        plan = self.plan_id
        volume = VolumeSpec(
            claim=names.volume_claim(self.uuid),
            size=self.volume_size,
            storage_class=plan.storage_class or self.cluster_id.storage_class or "",
            access_mode=self._access_mode(),
            mount_path=plan.mount_path,
            missed=self._misses_volume(),
        )
        return {**super()._spec_values(), "volume": volume, "files": self._files_spec()}

    def _access_mode(self):
        """Return who may have the volume: that of the plan counts for a new one only."""
        own = self.reset_id.state != "replacing" and self.volume_access_mode
        return own or self.plan_id.access_mode

    def _misses_volume(self):
        """Tell whether a claim that is gone has taken files with it that nothing brings back just now.

        A switch to a restored database does not bring them: it may be taken back, and so may what was put in place
        while nothing ran, until the tenant is resumed.
        """
        filled = not self.switching and self.state != "suspended" and self._awaits_files()
        return bool(self.volume_claimed and self.converged_at and self.reset_id.state != "replacing" and not filled)

    def _record(self, row, line, outcome):
        """Remember that there has been a claim."""
        result = super()._record(row, line, outcome)
        if row.code == VolumeClaim.code and outcome.state == StepState.DONE and not self.volume_claimed:
            self.volume_claimed = True
        return result

    @api.model
    def _guarded_fields(self):
        return super()._guarded_fields() | {"volume_claimed"}

    def _steps(self):
        """Claim the volume before the database is cloned, wait for it before the pod starts, for its growth at the end.

        Files that are to come from S3 are there before the pod, too; their key goes when the tenant does.
        """
        steps = super()._steps()
        codes = [step.code for step in steps]
        steps.insert(codes.index("identity") + 1, Volume())
        steps.insert(codes.index("policies") + 1, VolumeClaim())
        steps[:0] = [LeftVolume(), FilesKey()]  # erased last, in the reverse order: when the namespace is gone
        steps.append(VolumeGrowth())
        if self.files_manifest and self.files_source_uuid:
            steps.insert([step.code for step in steps].index("configuration"), Files())
        return steps
