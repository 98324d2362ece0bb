"""Every table is captured: also those that modules and people add later."""

from odoo import SUPERUSER_ID, api, models

from .. import journal


class IrModel(models.Model):
    """Models, whose tables are captured as soon as they are there."""

    _inherit = "ir.model"

    def _register_hook(self):
        super()._register_hook()
        self._install_capture()

    def _reflect_models(self, model_names):
        result = super()._reflect_models(model_names)
        if self.pool.ready:  # at other times the registry is being loaded, and the hook above follows
            self.pool.post_init(self._install_capture)
        return result

    @api.model
    def _install_capture(self):
        """Put capture on tables that lack it, and make the months to come; no lock where there is nothing to do."""
        with self.env.cr._cnx.cursor() as cr:
            done = journal.install(cr)
            journal.ensure_months(cr)  # a database brought back from last year has none of this year
        return done

    @api.model
    def _uninstall_capture(self):
        """Remove capture and journal."""
        with self.env.cr._cnx.cursor() as cr:
            journal.uninstall(cr)


def uninstall_hook(env):
    """Leave nothing of the journal behind."""
    env(user=SUPERUSER_ID)["ir.model"]._uninstall_capture()
