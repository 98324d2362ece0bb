"""What comes to an end by itself, and who is told of it: a tenant's administrators by mail, operators by activity."""

import logging
from datetime import timedelta

from markupsafe import Markup
from odoo import api, fields, models
from odoo.exceptions import UserError

from ..reconciler.left_volume import LeftVolume
from ..retention.ending import Turn

_logger = logging.getLogger(__name__)

ALARM = "loomworks_storage.activity_ending"
LEFT = "loomworks_storage.activity_volume_left"
NOT_ENDED = "loomworks_tenant.activity_not_ended"
LATE = timedelta(days=1)  # after which operators are told that something has not come to its end
ENDED = "The time after the subscription's end is over."


class EndingCrons(models.Model):
    """The ends that are due; each is told before it comes, and one that fails does not stop the others."""

    _inherit = "loomworks.tenant"

    @api.model
    def _end_subscriptions(self):
        """As before; from now on the days count after which the data goes."""
        result = super()._end_subscriptions()
        over = [("state", "=", "suspended"), ("ended_at", "=", False)]
        over += [("subscription_expires", "<", fields.Date.today())]
        self.search(over)._end_each(lambda tenant: tenant._begin_end())
        return result

    @api.model
    def _end_retentions(self):
        """Tell of the ends that come near, and bring about those that have been told for long enough."""
        ended = [("state", "=", "suspended"), ("archive_at", "!=", False)]
        kept = [("state", "=", "archived"), ("erase_at", "!=", False), ("erased_at", "=", False)]
        rows = self.search(ended) | self.search([*kept, ("erase_requested", "=", False)])
        progress = self.env["ir.cron"]._commit_progress
        progress(remaining=len(rows))
        for tenant in rows:
            tenant._end_each(lambda one: one._come_to_end(fields.Datetime.now()))
            progress(1)
        self._tell_not_erased(fields.Datetime.now() - LATE)

    def _is_too_early_to_tell(self, error):
        """A refusal is told once the end is a day late: a restore may just be being put in place."""
        end = self._end()
        early = isinstance(error, UserError) and bool(end) and fields.Datetime.now() <= end.promised + LATE
        if early:
            _logger.warning("the tenant %s does not come to its end: %s", self.uuid, error)
        return early

    @api.model
    def _tell_not_erased(self, since):
        """Tell of those whose data was to be deleted before a moment, and is still there."""
        late = [("erase_requested", "=", True), ("erased_at", "=", False), ("erase_requested_at", "<", since)]
        for tenant in self.search(late):
            day = fields.Datetime.to_string(tenant.erase_requested_at)
            step = tenant.current_step or tenant.error_message or ""
            text = self.env._(
                "Its data was to be deleted on %(day)s UTC, and is still there: %(step)s", day=day, step=step
            )
            tenant._raise_alarm(NOT_ENDED, text)

    def _come_to_end(self, now):
        """Do what the tenant's end asks for now."""
        end = self._end()
        if not end:
            return
        turn, day = end.decide(now)
        if turn == Turn.ACT:
            self._bring_to_end()
        elif turn != Turn.WAIT:
            after = end.after(turn, day, now)
            if after.promised != end.promised:
                self.env["loomworks.audit"]._record("postpone_end", self, f"until {day}: not told in time")
                self._promise(after.promised)
            self.write({"told_at": after.told, "reminded_at": after.reminded})
            self._tell_coming()

    def _bring_to_end(self):
        self._close_ending_activities()
        if self.state == "archived":
            self._end_retention()
        else:
            self.action_archive(ENDED)

    def _settle(self):
        """Say at last that everything is gone."""
        before = self.erased_at
        result = super()._settle()
        if self.erased_at and not before:
            self._close_ending_activities()
            self._end_alarm(NOT_ENDED, self.env._("All of its data is deleted."))
            self._tell_erased(self.step_ids.filtered(lambda one: one.code == LeftVolume.code).message)
        return result

    # --- telling people -------------------------------------------------------------------------------

    def _tell_erased(self, left):
        """Say that everything is gone; or what is not, which operators have to see to.

        :param left: volumes that their storage keeps, in words; empty: none
        """
        if left:
            self._tell_left(left)
        elif not self.abandoned:
            self._mail_admins(
                self.env._("All data of “%s” has been deleted", self.name),
                self.env._("Database and files are gone, and so is the key of their backups."),
                self.env._("Nobody can restore them; what backups of the whole server hold expires with these."),
            )

    def _tell_left(self, left):
        self.env["loomworks.audit"]._record("volume_left", self, left)
        self._raise_alarm(
            LEFT,
            self.env._(
                "The storage keeps the volume of “%(name)s”: %(left)s. Delete the disk at the provider, then the "
                "volume among the orphans, and tell the customer.",
                name=self.name,
                left=left,
            ),
        )
        if not self.abandoned:
            self._mail_admins(
                self.env._("“%s” has been deleted but for a disk", self.name),
                self.env._("The database is gone, and so is the key of all backups; nobody can restore them."),
                self.env._(
                    "The storage keeps the disk on which the files were; the operators have been told to delete it."
                ),
            )

    def _tell_ended(self):
        for tenant in self:
            tenant._mail_admins(
                self.env._("The subscription of “%s” has ended", tenant.name),
                self.env._("Nobody can log in any more; everything is kept."),
                *tenant._dates_in_words(),
                self.env._("Whoever extends the subscription before has everything as it was."),
            )

    def _tell_archived(self):
        for tenant in self.filtered(lambda one: not one.abandoned):
            tenant._mail_admins(
                self.env._("“%s” has been archived", tenant.name),
                self.env._("Its Odoo has been taken away. Database and files are kept and can be brought back."),
                *tenant._dates_in_words(),
            )

    def _tell_restored(self):
        for tenant in self:
            tenant._mail_admins(
                self.env._("“%s” has been brought back", tenant.name),
                self.env._("It starts again with the database and the files that it had. Nothing is to be deleted."),
            )

    def _tell_changed(self, reason):
        self._close_ending_activities()
        self._mail_admins(
            self.env._("The end of “%s” has been moved", self.name),
            *self._dates_in_words(),
            self.env._("Reason: %s", reason),
        )

    def _tell_coming(self):
        """Tell the administrators by mail, and the operators by an activity that is due on the day."""
        lines = self._dates_in_words()
        if self.state == "archived":
            title = self.env._("All data of “%s” will be deleted", self.name)
        else:
            title = self.env._("“%s” will be archived", self.name)
        self._mail_admins(title, *lines, self.env._("Answer this message if that is not what you want."))
        self._close_ending_activities()
        day = fields.Date.to_date(self[self._promised_field()])
        for user in self.env.ref("loomworks_tenant.group_operator").user_ids.filtered("active"):
            self.activity_schedule(ALARM, day, summary=title, note=_paragraphs(lines), user_id=user.id)

    def _dates_in_words(self):
        """Return a line for each day that stands before the tenant."""
        lines = []
        for moment, text in (
            (self.foreseen_archive_at, self.env._("On %s UTC it is archived: database and files are kept.")),
            (self.foreseen_erase_at, self.env._("On %s UTC database, files and their backups are deleted for good.")),
        ):
            if moment:
                lines.append(text % fields.Datetime.to_string(moment))
        return lines

    def _mail_admins(self, subject, *lines):
        """Send the tenant's administrators a mail, which is part of its history; without any, it is a note there."""
        self.ensure_one()
        partners = self.admin_ids.partner_id
        if not partners:
            self.message_post(body=_paragraphs([subject, *lines]))
            return
        body = _paragraphs(lines)
        values = {"subject": subject, "body": body, "body_html": body, "auto_delete": False}
        recipients = {"recipient_ids": [fields.Command.set(partners.ids)], "model": self._name, "res_id": self.id}
        self.env["mail.mail"].sudo().create({**values, "attachment_ids": [], **recipients})

    def _close_ending_activities(self):
        self._alarms(ALARM).unlink()


def _paragraphs(lines):
    return Markup().join(Markup("<p>%s</p>") % line for line in lines)
