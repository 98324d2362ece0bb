"""Rows that the system makes: what a caller would have a field be by default is nothing to them."""

from odoo import SUPERUSER_ID, api, models
from odoo.tools.misc import clean_context, partition


class OwnDefaults(models.AbstractModel):
    """A model of which some fields, or under ``sudo`` all, have the defaults of their declaration only.

    Anybody may keep personal defaults (``ir.default``), and Odoo takes these for any field, read-only ones and under
    ``sudo`` as well: a restore could be "done" because whoever asked for it had it so. Without ``sudo``, a call may
    bring them along as ``default_<field>`` in its context, too.
    """

    _name = "loomworks.own.defaults"
    _description = "Defaults of its own"

    @api.model
    def default_get(self, fields_list):
        """Return defaults: of what a caller may say the usual ones, of all else those of the declaration."""
        free, rest = partition(self._may_be_proposed, fields_list)
        own = self.with_env(self.env(user=SUPERUSER_ID, context=clean_context(self.env.context)))
        return {**super().default_get(free), **super(OwnDefaults, own).default_get(rest)}

    @api.model
    def _may_be_proposed(self, name):
        """Tell whether somebody's default counts for a field; models add what they guard."""
        field = self._fields.get(name)
        return bool(field and not field.readonly and not self.env.su)
