"""The bucket of a server's repository, whose settings are looked at like those of the files' one."""

from odoo import models
from odoo.addons.loomworks_storage.buckets.bucket import Bucket


class DatabaseServer(models.Model):
    """A database server whose repository's bucket is looked at."""

    _name = "loomworks.database.server"
    _inherit = ["loomworks.database.server", "loomworks.bucket.check"]

    def _bucket(self):
        if not self.repository_bucket:
            return None
        whole = self._repository_location()
        secrets = {"key": whole.key, "key_secret": whole.key_secret}
        return Bucket(whole.url, whole.bucket, whole.region, whole.object_key(""), **secrets, ca_file=whole.ca_file)
