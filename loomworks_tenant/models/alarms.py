"""What is wrong with a record, as activities of the operators that are there for as long as it is wrong."""

from odoo import models
from odoo.tools import plaintext2html

SUMMARY = 200  # characters


class Alarms(models.AbstractModel):
    """Records on which operators get one activity for each kind of trouble."""

    _name = "loomworks.alarms"
    _inherit = ["mail.activity.mixin"]
    _description = "Activities while something is wrong"

    def _raise_alarm(self, kind, text):
        """Have each operator have one activity of a kind, saying ``text``; who has one is not told again.

        :param kind: XML id of the activity type
        :param text: plain; its first line is the summary
        :return: the records on which nobody had one
        """
        said = _as_said(text)
        operators = self.env.ref("loomworks_tenant.group_operator").user_ids.filtered("active")
        quiet = self.browse()
        for record in self:
            told = record._alarms(kind)
            told.write(said)
            for user in operators - told.user_id:
                record.activity_schedule(kind, user_id=user.id, **said)
            if not told:
                quiet |= record
        return quiet

    def _update_alarm(self, kind, text):
        """Have the activities of a kind that are open say ``text``; who has closed theirs is left alone."""
        self._alarms(kind).write(_as_said(text))

    def _end_alarm(self, kind, feedback):
        """Nothing of a kind is wrong any more: close its activities, and say why."""
        self._alarms(kind).action_feedback(feedback=feedback)

    def _alarms(self, kind):
        """Return the activities of a kind that are open."""
        alarm = self.env.ref(kind)
        return self.activity_ids.filtered(lambda one: one.activity_type_id == alarm)


def _as_said(text):
    return {"summary": text.strip().splitlines()[0][:SUMMARY], "note": plaintext2html(text)}
