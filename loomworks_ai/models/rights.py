"""An agent takes back, and does again, only what it would be allowed to do now."""

from odoo import models
from odoo.exceptions import AccessError

from .. import journal

RIGHTS = {"created": "create", "changed": "write", "deleted": "unlink"}
LOOKED_AT = 1_000  # records of an operation


class OperationLog(models.Model):
    """Operations whose agent may have lost the rights by which it did them."""

    _inherit = "loomworks.ai.operation.log"

    def _check_still_allowed(self, *, rules):
        """Raise where the agent who asks may no longer do what these did to the records that it had called on.

        What followed from that in other records was done by Odoo itself, with rights that the agent never had.

        :param rules: look at each record as well, not at the rights to the model only
        """
        if self.env.su or not self.env.user._is_ai_agent():
            return
        for log in self._roots():
            for records, right in log._called_on():
                if not (records if rules else records.browse()).has_access(right):
                    raise AccessError(
                        self.env._("Operation %s has changed what you may no longer change: ask a person.", log.id)
                    )

    def _roots(self):
        """Return the operations that these are about: of undos and redos those that were undone at first."""
        roots = self.browse()
        for log in self:
            roots |= self.browse(log.undoes).exists()._roots() if log.undoes else log
        return roots

    def _called_on(self):
        """Yield records of the model called on that this operation has changed, and the right that this took."""
        model = self.env.get(self.model_name)
        if model is None or model._abstract or model._transient:
            return
        with self.env.cr._cnx.cursor() as cr:
            changes = journal.changes(cr, self.ids, tables=[model._table], limit=LOOKED_AT)
        for act, right in RIGHTS.items():
            numbers = [int(one["key"]["id"]) for one in changes if one["act"] == act]
            if numbers:
                yield model.browse(numbers).exists(), right
