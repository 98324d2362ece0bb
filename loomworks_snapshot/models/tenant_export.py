"""A tenant's, a plan's and a snapshot's part in files for customers."""

from datetime import timedelta

from odoo import fields, models
from odoo.exceptions import UserError

HOURS = 24


class Plan(models.Model):
    """A plan that says how often a customer may take his data along."""

    _inherit = "loomworks.plan"

    downloads_daily = fields.Integer(
        "Downloads in a day",
        required=True,
        default=3,
        help="Files with all data that a tenant's administrators may have made; operators have no limit.",
    )

    _downloads_not_negative = models.Constraint(
        "CHECK(downloads_daily >= 0)", "The number of downloads in a day cannot be negative."
    )


class Tenant(models.Model):
    """A tenant whose data can be downloaded."""

    _inherit = "loomworks.tenant"

    def action_export(self, moment=None):
        """Have a file made of the tenant: database and files, as Odoo's own database manager takes them.

        Return the restore's id; when that is done, its ``action_download_link`` gives a link. It is kept for a week.

        :param moment: the data of when, UTC; without one, of now
        :raises UserError: when one is being made already, the plan's number is reached, or the moment is none of its
        """
        self.ensure_one()
        self._check_admin()
        return self._export(self._moment_values(self._moment_or_now(moment))).id

    def _export(self, target):
        """Make the restore that makes the file.

        :param target: what of ``loomworks.restore`` names the moment
        """
        self._check_admin()
        self._check_export_limit()
        return self.env["loomworks.restore"]._request(self, {**target, "purpose": "download"})

    def _check_export_limit(self):
        restores = self.env["loomworks.restore"].sudo()
        mine = [("tenant_id", "=", self.id), ("purpose", "=", "download")]
        if restores.search_count([*mine, ("state", "in", ("waiting", "restoring"))], limit=1):
            raise UserError(
                self.env._("A file of “%s” is being made already. Wait for its end, or cancel it.", self.name)
            )
        if self.env.su or self.env.user.has_group("loomworks_tenant.group_operator"):
            return
        limit, now = self.sudo().plan_id.downloads_daily, fields.Datetime.now()
        since = now - timedelta(hours=HOURS)
        made = restores.search([*mine, ("started_at", ">", since)], order="started_at desc", limit=limit or 1)
        if len(made) < limit:
            return
        if not limit:
            raise UserError(self.env._("The plan of “%s” has no downloads. Ask your platform's operators.", self.name))
        again = fields.Datetime.to_string(made[-1].started_at + timedelta(hours=HOURS))
        raise UserError(
            self.env._(
                "“%(name)s” may have %(limit)s files made in a day, and has had them. The next one is possible from "
                "%(again)s UTC on.",
                name=self.name,
                limit=limit,
                again=again,
            )
        )

    def _needed_manifests(self):
        """Add those of which a file is being made."""
        domain = [
            ("tenant_id", "=", self.id),
            ("state", "in", ("waiting", "restoring")),
            ("files_manifest", "!=", False),
        ]
        restores = self.env["loomworks.restore"].sudo().search(domain)
        return super()._needed_manifests() | set(restores.mapped("files_manifest"))

    def action_erase(self, confirm_name=None, reason=None):
        """As before; files that the customer has had made go as well."""
        result = super().action_erase(confirm_name, reason)
        self.sudo().restore_ids._expire_file()
        return result

    def _settle(self):
        """What is erased leaves no file, whoever had it erased."""
        result = super()._settle()
        if self.erased_at:
            self.sudo().restore_ids._expire_file()
        return result


class Snapshot(models.Model):
    """A snapshot whose data can be downloaded."""

    _inherit = "loomworks.snapshot"

    def action_export(self):
        """Have a file made of this moment, and return the restore's id (see ``action_export`` of the tenant)."""
        self.ensure_one()
        return self.tenant_id._export(self._restore_values()).id
