"""The repository of the server that this control plane was deployed with."""

import os

from odoo import api, fields, models

from ..repository.location import Location

SECRETS = {"key": "key", "key_secret": "key-secret", "cipher_pass": "cipher-pass"}  # field -> file


class Cluster(models.Model):
    """A cluster whose own database server has a repository."""

    _inherit = "loomworks.cluster"

    postgres_image = fields.Char("PostgreSQL image", help="Restores run in it.")

    @api.model
    def _ensure_own(self):
        """Say, too, where the own server's repository is, as pgBackRest's variables and the mounted Secret have it."""
        cluster = super()._ensure_own()
        cluster.postgres_image = os.environ.get("LOOMWORKS_POSTGRES_IMAGE") or cluster.postgres_image
        place = Location.place_from_environment(os.environ)
        folder = os.environ.get("REPOSITORY_SECRETS_DIR")
        if place and folder:
            values = {f"repository_{name}": value or False for name, value in place.items()}
            values |= {f"repository_{name}_reference": f"file:{folder}/{file}" for name, file in SECRETS.items()}
            self.env.ref("loomworks_tenant.own_server").write(values)
        return cluster
