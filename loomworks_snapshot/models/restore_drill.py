"""Drills: each night one tenant of each server is restored on scratch space, to a moment that chance chooses."""

import random
from datetime import timedelta

from odoo import api, fields, models
from odoo.addons.loomworks_storage.filestore.check import check

from ..restoring import flow

ALARM = "loomworks_snapshot.activity_drill_failed"
QUIET = timedelta(minutes=5)  # the newest moment is so long ago
SAMPLE = 20  # files that are read


class RestoreDrill(models.Model):
    """Restores that nobody needs, so that those that somebody needs are known to work."""

    _inherit = "loomworks.restore"

    @api.model
    def _cron_drill(self):
        """Ask for one drill on each server that has a base backup and a tenant."""
        for server in self.env["loomworks.database.server"]._in_use():
            self._drill(server)

    @api.model
    def _drill(self, server, rng=random):
        """Make a drill of a tenant of ``server``, and return it; nothing where nothing could be restored."""
        domain = [("server_id", "=", server.id), ("state", "in", ("active", "suspended")), ("erased_at", "=", False)]
        tenants = self.env["loomworks.tenant"].search(domain)
        done = [("server_id", "=", server.id), ("state", "=", "done"), ("finished_at", "!=", False)]
        oldest = self.env["loomworks.base.backup"].search(done, order="finished_at", limit=1)
        latest = fields.Datetime.now() - QUIET
        known = tenants._restorable_since().items()
        since = {tenant: max(first or latest, oldest.finished_at or latest) for tenant, first in known}
        chosen = [tenant for tenant, first in since.items() if first < latest]
        if not chosen:
            return self.browse()
        tenant = rng.choice(chosen)
        moment = since[tenant] + timedelta(seconds=rng.uniform(1, (latest - since[tenant]).total_seconds()))
        moment = moment.replace(microsecond=0)
        values = tenant._moment_values(moment)
        return self._request(tenant, {**values, "purpose": "drill", "lost_seconds": server.unarchived_seconds})

    def _drill_files(self):
        """Have every file of the moment listed in S3, and read some; return how many, nothing where none are there yet.

        :raises RestoreFailed: when one could not be restored
        """
        backup = self.tenant_id._files_backup_for(self.moment)
        if not backup:
            return {}
        vault = self.tenant_id.sudo()._files_vault()
        found = check(vault, vault.manifest(backup.manifest), SAMPLE)
        if not found.whole:
            lost = len(found.missing) + len(found.damaged)
            raise flow.RestoreFailed(
                f"{lost} of the {found.files} files of that moment are missing or damaged in S3 ({backup.manifest})",
                "Look at the backup of files: the next one writes those again that the volume still has.",
                code="files_lost",
            )
        return {"files": found.files, "files_read": found.read}

    def _raise_alarm(self, error):
        """Tell operators that a drill has failed: a note and an activity on the tenant."""
        text = self.env._("The drill to %(moment)s UTC failed: %(error)s", moment=self.moment, error=str(error))
        self.tenant_id.message_post(body=text)
        self.tenant_id._raise_alarm(ALARM, text)

    def _give_all_clear(self):
        """A drill of this tenant works again."""
        self.tenant_id._end_alarm(ALARM, self.env._("A drill has worked since."))
