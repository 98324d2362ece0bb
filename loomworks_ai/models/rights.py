"""An agent takes back, and does again, only what it would be allowed to do now."""

import contextlib

from odoo import models
from odoo.exceptions import AccessError
from odoo.tools import split_every

from .. import journal

RIGHTS = {"created": "create", "changed": "write", "deleted": "unlink"}
PAGE = 1_000  # records


class OperationLog(models.Model):
    """Operations whose agent may have lost the rights by which it did them."""

    _inherit = "loomworks.ai.operation.log"

    def _check_still_allowed(self, records=None):
        """Raise where the agent who asks may no longer do the like of what these did to any record at all.

        What followed from that in other models was done by Odoo itself, with rights that the agent never had.

        :param records: as for `action_undo`
        :return: what is closed to the agent as it is now, for `_check_closed`
        """
        closed = []
        if self.env.su or not self.env.user._is_ai_agent():
            return closed
        chosen = None if records is None else {self._row(one) for one in records}
        roots = self._roots()
        kept = roots._accounted()
        for log in roots:
            if kept.get(log.id, 0) < log.row_changes:  # nobody knows what it had changed
                log._raise_closed()
            model = log._model_called_on()
            for act, numbers in log._called_on(model).items():
                right = RIGHTS[act]
                if not model.has_access(right):
                    log._raise_closed()
                asked = [one for one in numbers if chosen is None or (model._table, one) in chosen]
                closed += [(log, page, right) for page in self._closed(model, asked, right)]
        return closed

    def _closed(self, model, numbers, right):
        """Yield those of these records that are there and to which the user lacks a right, in pages."""
        for ids in split_every(PAGE, numbers):
            there = model.browse(ids).exists()
            page = there - there._filtered_access(right)
            if page:
                yield page

    def _check_closed(self, closed):
        """Raise where the undo has touched what was closed to the agent before, and is so after it as well.

        It may take back what it has itself closed to itself: by giving its own document to somebody else, say.

        :param closed: what `_check_still_allowed` has returned before
        """
        if not closed:
            return
        self.env.invalidate_all(flush=False)
        touched = self._touched({records._table for _log, records, _right in closed})
        for log, page, right in closed:
            records = page.browse(number for number in page.ids if (page._table, number) in touched)
            if records.exists()._filtered_access(right) != records:
                log._raise_closed()

    def _touched(self, tables):
        """Return (table, number) of each record that the undo under way has touched."""
        with self.env.cr._cnx.cursor() as cr:
            found = journal.touched(cr, list(tables))
        return {(table, number) for table, acts in found.items() for act in acts.values() for number in act["ids"]}

    def _kept_if_allowed(self, closed):
        """Return the block in which the undo is done, of which nothing is left where `_check_closed` raises."""
        return self.env.cr.savepoint() if closed else contextlib.nullcontext()

    def _raise_closed(self):
        raise AccessError(self.env._("Operation %s has changed what you may no longer change: ask a person.", self.id))

    def _roots(self):
        """Return the operations that these are about: of undos and redos those that were undone at first."""
        roots = self.browse()
        for log in self:
            roots |= self.browse(log.undoes).exists()._roots() if log.undoes else log
        return roots

    def _model_called_on(self):
        """Return the model called on, if it has a table to be looked at."""
        model = self.env.get(self.model_name)
        return None if model is None or model._abstract or model._transient else model

    def _called_on(self, model):
        """Return the numbers of all records of a model that this operation has changed, by what it did to them."""
        if model is None:
            return {}
        with self.env.cr._cnx.cursor() as cr:
            return journal.numbers(cr, self.ids, model._table)
