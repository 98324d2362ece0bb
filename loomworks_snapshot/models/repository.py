"""The control plane's own way into a server's repository: by reference, as everywhere."""

from functools import lru_cache
from typing import NamedTuple

from odoo import api, fields, models
from odoo.addons.loomworks_tenant import secret_reference
from odoo.addons.loomworks_tenant.errors import SecretUnavailable
from odoo.exceptions import ValidationError

from ..repository.errors import RepositoryUnset
from ..repository.location import Location
from ..repository.segments import parse_lsn
from ..repository.store import Store

PLACE = ("endpoint", "bucket", "region")
REFERENCES = ("repository_key_reference", "repository_key_secret_reference", "repository_cipher_pass_reference")
LIVE = ("creating", "ready", "restoring", "failed")  # states of snapshots that want to be restorable


class NeededTarget(NamedTuple):
    """A moment that must stay restorable."""

    timeline: int
    lsn: int
    base_backup_label: str
    system_identifier: str


@lru_cache(maxsize=32)
def store_at(location):
    """Return the process's one client of a repository; its connections are pooled and safe to share by threads."""
    return Store(location)


class DatabaseServer(models.Model):
    """A database server whose repository the control plane can read."""

    _inherit = "loomworks.database.server"

    repository_endpoint = fields.Char("Endpoint", help="The S3 server's address, with or without https://.")
    repository_bucket = fields.Char("Bucket")
    repository_region = fields.Char("Region")
    repository_path = fields.Char("Path", default=Location.path, help="pgBackRest's repo1-path.")
    repository_ca_file = fields.Char("CA certificate of S3", help="Empty: the system's authorities.")
    repository_key_reference = fields.Char("Key", help="Where it is: file:/path or env:VARIABLE.")
    repository_key_secret_reference = fields.Char("Key's secret", help="Where it is: file:/path or env:VARIABLE.")
    repository_cipher_pass_reference = fields.Char("Passphrase", help="Where it is: file:/path or env:VARIABLE.")
    snapshot_ids = fields.One2many("loomworks.snapshot", "server_id", "Snapshots")

    @api.constrains(*REFERENCES)
    def _check_repository_references(self):
        for server in self:
            for reference in filter(None, (server[name] for name in REFERENCES)):
                try:
                    secret_reference.check(reference)
                except SecretUnavailable as error:
                    raise ValidationError(str(error)) from error

    @api.model
    def _system_fields(self):
        return super()._system_fields() | {*REFERENCES, "repository_ca_file"}

    def _repository_location(self):
        """Return where the server's repository is, secrets included; never kept in a row or a log.

        :raises RepositoryUnset: when it is not said
        :raises SecretUnavailable: when a secret cannot be read
        """
        self.ensure_one()
        missing = [name for name in (*(f"repository_{one}" for one in PLACE), *REFERENCES) if not self[name]]
        if missing:
            labels = ", ".join(self._fields[name].string for name in missing)
            raise RepositoryUnset(
                f"the repository of the database server {self.name} is not set: {labels}",
                "Fill it in on the database server's form.",
            )
        key, key_secret, cipher_pass = (secret_reference.read(self[name]) for name in REFERENCES)
        return Location(
            endpoint=self.repository_endpoint,
            bucket=self.repository_bucket,
            region=self.repository_region,
            key=key,
            key_secret=key_secret,
            cipher_pass=cipher_pass,
            path=self.repository_path or Location.path,
            stanza=self.stanza,
            ca_file=self.repository_ca_file or "",
        )

    def _repository_store(self):
        """Return the server's repository, to be read."""
        return store_at(self._repository_location())

    def _needed_targets(self):
        """Add the moments of this server's snapshots, one for each WAL segment, and what is being restored from."""
        needed = list(getattr(super(), "_needed_targets", list)())
        domain = [("server_id", "in", self.ids), ("state", "in", LIVE), ("wal_position", "!=", False)]
        # One query, as this is asked every minute: of the moments in one segment, the earliest needs the most.
        parts = ["timeline", "wal_file", "base_backup_label", "system_identifier"]
        groups = self.env["loomworks.snapshot"].sudo()._read_group(domain, parts, ["wal_position:array_agg"])
        needed += [
            NeededTarget(timeline, min(map(parse_lsn, positions)), label or "", system or "")
            for timeline, _file, label, system, positions in groups
        ]
        return needed + self._labels_being_restored()

    def _labels_being_restored(self):
        """Return the labels of the base backups that restores, copies, files and drills read, or are about to."""
        domain = [("server_id", "in", self.ids), ("state", "in", ("waiting", "restoring"))]
        restores = self.env["loomworks.restore"].sudo().search(domain)
        labels = (one.backup_label or self._label_before(one.moment) for one in restores)
        return sorted({label for label in labels if label})

    def _label_before(self, moment):
        """Return the label of the newest base backup that ended before ``moment``, as the last look told."""
        domain = [("server_id", "in", self.ids), ("state", "=", "done"), ("page_errors", "=", False)]
        domain += [("finished_at", "<", moment), ("label", "!=", False)]
        return self.env["loomworks.base.backup"].sudo().search(domain, order="finished_at desc", limit=1).label
