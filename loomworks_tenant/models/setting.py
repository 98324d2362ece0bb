"""Rows on which the platform rests: who changes them is written down, and where secrets are is not for everybody."""

from odoo import api, models
from odoo.exceptions import AccessError


class Setting(models.AbstractModel):
    """A cluster, a database server, a plan: kept by operators, but for what leads the control plane to secrets."""

    _name = "loomworks.setting"
    _inherit = ["loomworks.own.defaults"]
    _description = "Setting of the platform"

    @api.model
    def _system_fields(self):
        """Return the names of the fields that only a system administrator sets; addons add theirs."""
        return frozenset()

    @api.model
    def _may_be_proposed(self, name):
        return super()._may_be_proposed(name) and name not in self._system_fields()

    @api.model_create_multi
    def create(self, vals_list):
        """Make rows, each with an audit entry."""
        for vals in vals_list:
            self._check_system(vals)
        made = super().create(vals_list)
        if not self.env.su:
            self.env["loomworks.audit"]._record("create", made)
        return made

    def write(self, vals):
        """Change rows; the entry names what was changed, and no value."""
        self._check_system(vals)
        done = super().write(vals)
        names = sorted(name for name in vals if name in self._fields and not self._fields[name].readonly)
        if names and not self.env.su:
            self.env["loomworks.audit"]._record("change", self, ", ".join(names))
        return done

    @api.ondelete(at_uninstall=False)
    def _unlink_with_an_entry(self):
        self.env["loomworks.audit"]._record("unlink", self)

    @api.model
    def _check_system(self, vals):
        """Refuse what would have the control plane read or send a secret, or run a program, of somebody's choice.

        :raises AccessError: for all but system administrators
        """
        asked = [self._fields[name].string for name in sorted(self._system_fields().intersection(vals))]
        if asked and not (self.env.su or self.env.user.has_group("base.group_system")):
            raise AccessError(
                self.env._(
                    "%s: only a system administrator says where the control plane finds its secrets and servers.",
                    ", ".join(asked),
                )
            )
