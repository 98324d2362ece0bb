"""The repository of the server that this control plane was deployed with."""

import os

from odoo import api, fields, models

from ..repository.location import Location
from ..restoring import scratch_space

SECRETS = {"key": "key", "key_secret": "key-secret", "cipher_pass": "cipher-pass"}  # field -> file


class Cluster(models.Model):
    """A cluster whose own database server has a repository."""

    _inherit = "loomworks.cluster"

    scratch_memory_mib = fields.Integer(
        "Memory for scratch space (MiB)",
        required=True,
        default=2048,
        help="A restore unpacks in memory when so much will do: about four times the database, and 1 GiB for WAL.",
    )
    scratch_storage_class = fields.Char(
        "Storage class for scratch space",
        help="Of encrypted volumes, for restores that are larger.",
    )
    scratch_on_node = fields.Boolean(
        "The nodes' disks are encrypted",
        help="Without a storage class, a restore that is too large for memory unpacks on the disk of its node. It sees "
        "pages of other tenants: unless this is set, such a restore is refused.",
    )

    _scratch_not_negative = models.Constraint(
        "CHECK(scratch_memory_mib >= 0)", "Memory for scratch space cannot be negative."
    )

    def _scratch_space(self, database_size, attempts=0):
        """Return where the restore of a database of so many bytes unpacks, after attempts that have broken off."""
        places = self.scratch_storage_class or "", attempts, self.scratch_on_node
        return scratch_space.choose(int(database_size), self.scratch_memory_mib, *places)

    @api.model
    def _ensure_own(self):
        """Say, too, where the own server's repository is, as pgBackRest's variables and the mounted Secret have it."""
        cluster = super()._ensure_own()
        place = Location.place_from_environment(os.environ)
        folder = os.environ.get("REPOSITORY_SECRETS_DIR")
        if place and folder:
            values = {f"repository_{name}": value or False for name, value in place.items()}
            values |= {f"repository_{name}_reference": f"file:{folder}/{file}" for name, file in SECRETS.items()}
            self.env.ref("loomworks_tenant.own_server").write(values)
        return cluster
