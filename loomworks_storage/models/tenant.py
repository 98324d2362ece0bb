"""The tenant's volume: what it should be, put between the reconciler's steps."""

from odoo import fields, models
from odoo.addons.loomworks_tenant.kube import names
from odoo.addons.loomworks_tenant.reconciler.spec import VolumeSpec

from ..reconciler.files import Files, FilesKey
from ..reconciler.steps import Volume, VolumeClaim, VolumeGrowth


class Tenant(models.Model):
    """A tenant with a volume of its own."""

    _inherit = "loomworks.tenant"

    volume_claim_name = fields.Char("Volume claim", compute="_compute_volume_claim_name")

    def _compute_volume_claim_name(self):
        for tenant in self:
            tenant.volume_claim_name = names.volume_claim(tenant.uuid) if tenant.uuid else False

    def _spec_values(self):
        plan = self.plan_id
        volume = VolumeSpec(
            claim=names.volume_claim(self.uuid),
            size=self.volume_size,
            storage_class=plan.storage_class or self.cluster_id.storage_class or "",
            access_mode=plan.access_mode,
            mount_path=plan.mount_path,
        )
        return {**super()._spec_values(), "volume": volume, "files": self._files_spec()}

    def _steps(self):
        """Claim the volume before the database is cloned, wait for it before the pod starts, for its growth at the end.

        Files that are to come from S3 are there before the pod, too; their key goes when the tenant does.
        """
        steps = super()._steps()
        codes = [step.code for step in steps]
        steps.insert(codes.index("identity") + 1, Volume())
        steps.insert(codes.index("policies") + 1, VolumeClaim())
        steps.insert(0, FilesKey())
        steps.append(VolumeGrowth())
        if self.files_manifest and self.files_source_uuid:
            steps.insert([step.code for step in steps].index("configuration"), Files())
        return steps
