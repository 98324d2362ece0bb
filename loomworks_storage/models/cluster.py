"""Where the files of a cluster's tenants are backed up to: by reference, as everywhere."""

import os

from odoo import api, fields, models
from odoo.addons.loomworks_tenant import secret_reference
from odoo.addons.loomworks_tenant.errors import SecretUnavailable
from odoo.exceptions import ValidationError

from ..files.errors import PlaceUnset
from ..files.place import FIELDS, Place
from ..imports.spec import Sources

REFERENCES = {"files_key_reference": "key", "files_key_secret_reference": "key-secret"}  # field -> file
IMPORT_REFERENCES = {"imports_key_reference": "key", "imports_key_secret_reference": "key-secret"}
IMPORTS = "LOOMWORKS_IMPORTS_S3_"  # variables of the deployment
NEEDED = ("files_endpoint", "files_bucket", "files_region", *REFERENCES)


class Cluster(models.Model):
    """A cluster whose tenants' files have a place in S3."""

    _inherit = "loomworks.cluster"

    files_endpoint = fields.Char("Endpoint of files", help="The S3 server's address, with or without https://.")
    files_bucket = fields.Char("Bucket of files")
    files_region = fields.Char("Region of files")
    files_ca_file = fields.Char("CA certificate of S3", help="Empty: the system's authorities.")
    files_key_reference = fields.Char("Key", help="Where it is: file:/path or env:VARIABLE.")
    files_key_secret_reference = fields.Char("Key's secret", help="Where it is: file:/path or env:VARIABLE.")

    postgres_image = fields.Char("PostgreSQL image", help="Restores and imports run in it.")
    imports_endpoint = fields.Char("Endpoint of sources", help="The S3 server's address, with or without https://.")
    imports_bucket = fields.Char("Bucket of sources")
    imports_region = fields.Char("Region of sources")
    imports_prefix = fields.Char("Folder of sources", help="All sources are below it. Empty: anywhere in the bucket.")
    imports_ca_file = fields.Char("CA certificate of the sources' S3", help="Empty: the system's authorities.")
    imports_key_reference = fields.Char(
        "Key of sources", help="Of an account that may read and list, and nothing else: file:/path or env:VARIABLE."
    )
    imports_key_secret_reference = fields.Char("Sources key's secret", help="Where it is: file:/path or env:VARIABLE.")

    @api.constrains(*REFERENCES, *IMPORT_REFERENCES)
    def _check_files_references(self):
        for cluster in self:
            for reference in filter(None, (cluster[name] for name in (*REFERENCES, *IMPORT_REFERENCES))):
                try:
                    secret_reference.check(reference)
                except SecretUnavailable as error:
                    raise ValidationError(str(error)) from error

    @api.model
    def _system_fields(self):
        return super()._system_fields() | {*REFERENCES, *IMPORT_REFERENCES, "files_ca_file", "imports_ca_file"}

    @api.model
    def _tenant_fields(self):
        """Add the class of volumes, and the place whose lack keeps a tenant's files from coming back."""
        return super()._tenant_fields() | {"storage_class", "files_ca_file", *NEEDED}

    def _files_place(self):
        """Return where files are backed up to, or None where that is not said in full."""
        self.ensure_one()
        if not all(self[name] for name in NEEDED):
            return None
        return Place(
            endpoint=self.files_endpoint,
            bucket=self.files_bucket,
            region=self.files_region,
            key_reference=self.files_key_reference,
            key_secret_reference=self.files_key_secret_reference,
            ca_file=self.files_ca_file or "",
        )

    def _require_files_place(self):
        """Return where files are backed up to.

        :raises PlaceUnset: where that is not said in full
        """
        place = self._files_place()
        if place is None:
            raise PlaceUnset(f"the cluster {self.name}")
        return place

    def _import_sources(self):
        """Return where sources of imports are, or None where that is not said in full."""
        self.ensure_one()
        needed = ("imports_endpoint", "imports_bucket", "imports_region", *IMPORT_REFERENCES)
        if not all(self[name] for name in needed):
            return None
        values = {name: self[f"imports_{name}"] or "" for name in (*FIELDS, "key_reference", "key_secret_reference")}
        return Sources(Place(**values), (self.imports_prefix or "").strip("/"))

    @api.model
    def _ensure_own(self):
        """Say, too, where this deployment's files go, as the variables and the mounted Secret have it."""
        cluster = super()._ensure_own()
        cluster.postgres_image = os.environ.get("LOOMWORKS_POSTGRES_IMAGE") or cluster.postgres_image
        cluster._ensure_own_sources()
        place, folder = Place.of_environment(os.environ), os.environ.get("FILESTORE_SECRETS_DIR")
        if place and folder:
            values = {f"files_{name}": value or False for name, value in place.items()}
            cluster.write({**values, **{name: f"file:{folder}/{file}" for name, file in REFERENCES.items()}})
        return cluster

    def _ensure_own_sources(self):
        """Say where sources of imports are, where the deployment names a place."""
        place, folder = Place.of_environment(os.environ, IMPORTS), os.environ.get("IMPORTS_SECRETS_DIR")
        if place and folder:
            values = {f"imports_{name}": value or False for name, value in place.items()}
            values["imports_prefix"] = os.environ.get(f"{IMPORTS}PREFIX", "")
            self.write({**values, **{name: f"file:{folder}/{file}" for name, file in IMPORT_REFERENCES.items()}})
