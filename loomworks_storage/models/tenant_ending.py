"""The end of a tenant: its dates, and the actions that bring it nearer or call it off."""

from dataclasses import replace
from datetime import timedelta

from odoo import api, fields, models
from odoo.exceptions import UserError

from ..reconciler.retention import Retention
from ..retention.ending import FIRST_LEAD, End, Life, Stage, Terms, foresee, kept_until

ENDING_FIELDS = frozenset(
    "abandoned ended_at cancelled archive_at archived_at erase_at erase_promised_at told_at reminded_at".split()
)
OPEN = {"ended_at": False, "cancelled": False, "archive_at": False, "erase_promised_at": False}
UNTOLD = {"told_at": False, "reminded_at": False}
CANCELLED = "The subscription was cancelled."
UNEXPLAINED = "Brought back; no reason was given."
DAY = timedelta(days=1)
TERMS = frozenset({"ended_days", "retention_days"})
SAVE_AFTER = 15  # seconds from archiving to the last backup of the files: a snapshot made meanwhile has them all


class Plan(models.Model):
    """A plan that says for how long a tenant's data outlives its subscription."""

    _inherit = "loomworks.plan"

    ended_days = fields.Integer(
        "Suspended after the end (days)",
        required=True,
        default=60,
        help="Between the end of a subscription and archiving; everything is kept, nothing runs.",
    )

    _days_not_negative = models.Constraint(
        "CHECK(ended_days >= 0 AND retention_days >= 0)", "Data cannot be kept for a negative number of days."
    )

    terms_reason = fields.Char(
        "Why the days changed",
        copy=False,
        help="Given with each change of these days that moves what was foreseen for a tenant; kept in the audit log.",
    )

    def _terms(self):
        """Return what the plan promises as plain values."""
        return Terms(self.ended_days, self.retention_days)

    def write(self, vals):
        """Have a reason for other days where they move what was foreseen: ``terms_reason``, in the same call."""
        if TERMS & vals.keys():
            for plan in self:
                plan._check_terms(replace(plan._terms(), **{name: vals[name] for name in TERMS & vals.keys()}), vals)
        return super().write(vals)

    def _check_terms(self, terms, vals):
        before, reason = self._terms(), vals.get("terms_reason")
        moved = self.sudo().tenant_ids._moved_by(terms)
        moved.sudo(self.env.su)._check_reason(reason)
        if moved:
            change = (
                f"{before.ended_days} + {before.retention_days} -> {terms.ended_days} + {terms.retention_days} days"
            )
            self.env["loomworks.audit"]._record("change_terms", self, f"{change}; {reason or ''}")

    @api.onchange(*TERMS)
    def _onchange_terms(self):
        """A reason is that of one change: the next one asks anew."""
        self.terms_reason = False


class Tenant(models.Model):
    """A tenant whose end is foreseen, told and kept to."""

    _inherit = "loomworks.tenant"

    ended_at = fields.Datetime("Subscription ended", readonly=True, copy=False)
    cancelled = fields.Boolean("Subscription cancelled", readonly=True, copy=False)
    archive_at = fields.Datetime(readonly=True, copy=False, help="Promised: it is not archived before.")
    erase_promised_at = fields.Datetime(
        readonly=True, copy=False, help="Promised when the subscription ended: its data is not deleted before."
    )
    told_at = fields.Datetime("Told", readonly=True, copy=False, help="When its people were told of the coming end.")
    reminded_at = fields.Datetime("Told again", readonly=True, copy=False)
    abandoned = fields.Boolean(
        readonly=True, copy=False, help="It has never got its data: its people are not told that it goes."
    )
    expires_reason = fields.Char(
        "Why it was moved",
        copy=False,
        tracking=True,
        help="Given with each new last day of the subscription, and with a plan of other days.",
    )
    foreseen_suspend_at = fields.Datetime("Suspended on", compute="_compute_foreseen")
    foreseen_archive_at = fields.Datetime("Archived on", compute="_compute_foreseen")
    foreseen_erase_at = fields.Datetime("All data deleted on", compute="_compute_foreseen")

    @api.depends(
        "state",
        "subscription_expires",
        "ended_at",
        "archive_at",
        "erase_at",
        "erase_promised_at",
        "erase_requested",
        "erased_at",
        "plan_id.ended_days",
        "plan_id.retention_days",
    )
    def _compute_foreseen(self):
        for tenant in self:
            dates = foresee(tenant._life(), tenant.sudo().plan_id._terms())
            tenant.foreseen_suspend_at = dates.suspended
            tenant.foreseen_archive_at = dates.archived
            tenant.foreseen_erase_at = dates.erased

    def _life(self):
        self.ensure_one()
        if self.erase_requested or self.erased_at:
            return Life(Stage.ERASED)
        if self.state == "archived":
            return Life(Stage.ARCHIVED, erase_at=self.erase_at or None)
        if self.ended_at:
            return Life(Stage.ENDED, archive_at=self.archive_at or None, erase_at=self.erase_promised_at or None)
        return Life(Stage.SERVING, expires=self.subscription_expires or None)

    def _end(self):
        """Return the end that was promised next; None: nothing was."""
        self.ensure_one()
        life, told = self._life(), {"told": self.told_at or None, "reminded": self.reminded_at or None}
        if life.stage == Stage.ARCHIVED and life.erase_at and self.archived_at:
            return End(self.archived_at, life.erase_at, **told)
        if life.stage == Stage.ENDED and life.archive_at and self.state == "suspended":
            return End(self.ended_at, life.archive_at, **told)
        return None

    def _promised_field(self):
        return "erase_at" if self.state == "archived" else "archive_at"

    def _promise(self, moment):
        """Promise that the end does not come before ``moment``; addons move with it what is kept until then."""
        self.ensure_one()
        if self.state != "archived" and self.erase_promised_at:
            later = max(timedelta(0), moment - self.archive_at)  # kept for as long after it, and no less
            self.erase_promised_at += later
        self[self._promised_field()] = moment
        if self.state == "archived" and self.server_id:
            self._lay_out_steps(anew=True)  # the mark on the claim says for how long
            self._request_reconcile()

    # --- actions --------------------------------------------------------------------------------------

    def action_cancel_subscription(self, reason=None):
        """End the subscription now: the tenant is suspended, and its data kept for the plan's days.

        :param reason: needed where the subscription had a last day
        """
        self._check_operator()
        self._check_state({"provisioning", "active", "suspended"}, "cancel_subscription")
        self.filtered("foreseen_suspend_at")._check_reason(reason)
        for tenant in self:
            if tenant.ended_at:
                raise UserError(self.env._("The subscription of “%s” has ended already.", tenant.name))
            if tenant.state != "suspended":
                tenant.action_suspend(reason or CANCELLED)
        self.sudo().cancelled = True
        self.env["loomworks.audit"]._record("cancel_subscription", self, reason or "")
        self.sudo()._begin_end()
        return True

    def action_resume(self, reason=None):
        """Start them again; an end of the subscription is called off.

        :param reason: needed where an end was promised
        """
        self._check_operator()
        self.filtered("ended_at")._check_reason(reason)
        result = super().action_resume(reason)
        self.sudo()._call_off()
        return result

    def action_archive(self, reason=None):
        """As before; its people are told until when everything can be brought back.

        :param reason: needed where they are archived before the day that was foreseen
        """
        self._check_operator()
        now = fields.Datetime.now()
        early = self.filtered(lambda one: one.foreseen_archive_at and now < one.foreseen_archive_at)
        early._check_reason(reason)
        result = super().action_archive(reason)
        kept = self.sudo().filtered(lambda one: not one.erased_at)
        kept.write(UNTOLD)
        kept._tell_archived()
        return result

    def _abandon(self, why):
        """Take away tenants that will get no data, without a word to people who have never had anything there.

        :param why: for the audit log
        """
        for tenant in self:
            tenant.abandoned = True
            tenant.action_archive()
            tenant.erase_requested = True
            tenant._audit_and_reconcile("erase", why)

    def action_erase(self, confirm_name=None, reason=None):
        """As before.

        :param reason: needed before the day that was foreseen
        """
        self._check_operator()
        self._check_nobody_takes_files()
        now = fields.Datetime.now()
        self.filtered(lambda one: one.foreseen_erase_at and now < one.foreseen_erase_at)._check_reason(reason)
        return super().action_erase(confirm_name, reason)

    def restore_archived(self, reason=None):
        """As before; nothing of it is to be deleted any more.

        :param reason: kept on the tenant, in its history and in the audit log; without one, that none was given
        """
        result = super().restore_archived((reason or "").strip() or self.env._(UNEXPLAINED))
        self.sudo()._call_off()
        self.sudo()._tell_restored()
        return result

    def action_change_end(self, moment, reason):
        """Move the day on which the tenant is archived or, where it is archived already, deleted.

        :param moment: UTC; never so soon that nobody could be told in time
        :param reason: for the audit log, and for the tenant's administrators
        """
        self.ensure_one()
        self._check_operator()
        moment, end = fields.Datetime.to_datetime(moment), self._end()
        if not end:
            raise UserError(self.env._("No end is foreseen for “%s”.", self.name))
        self._check_reason(reason)
        self._check_new_end(moment, end)
        name = self._promised_field()
        change = f"{name}: {fields.Datetime.to_string(end.promised)} -> {fields.Datetime.to_string(moment)}"
        self.env["loomworks.audit"]._record("change_end", self, f"{change}; {reason.strip()}")
        self.sudo().write(UNTOLD)
        self.sudo()._promise(moment)
        self.sudo()._tell_changed(reason.strip())
        return True

    def _check_reason(self, reason):
        """Refuse to change a day that is shown without a word why; the platform's own work gives none."""
        if self and not self.env.su and not (reason or "").strip():
            raise UserError(
                self.env._(
                    "Say why: a day that was foreseen for “%s” changes, and the reason is kept in the audit log.",
                    self[0].name,
                )
            )

    def _check_new_end(self, moment, end):
        earliest = fields.Datetime.now() + FIRST_LEAD
        if moment < min(end.promised, earliest):
            raise UserError(
                self.env._(
                    "The administrators of “%(name)s” are told %(days)s days ahead: %(earliest)s UTC at the earliest. "
                    "“Delete all data” deletes an archived tenant at once.",
                    name=self.name,
                    days=FIRST_LEAD.days,
                    earliest=fields.Datetime.to_string(earliest),
                )
            )

    def write(self, vals):
        """Call the end off where the subscription has been extended.

        Whoever moves a subscription's last day, or the days behind it by another plan, gives the reason in the same
        call, as ``expires_reason``.
        """
        if "subscription_expires" in vals:
            self._check_expiry(fields.Date.to_date(vals["subscription_expires"]), vals.get("expires_reason"))
        if "plan_id" in vals:
            self._check_plan(self.env["loomworks.plan"].browse(vals["plan_id"]), vals.get("expires_reason"))
        done = super().write(vals)
        if "subscription_expires" in vals:
            extended = self.sudo().filtered(lambda one: one.ended_at and not one.cancelled and not one._has_expired())
            extended.filtered(lambda one: one.state == "suspended")._call_off()
        return done

    def _check_expiry(self, day, reason):
        """Have a reason for each last day that is moved, and an audit entry."""
        moved = self.filtered(lambda one: one.state != "draft" and one.subscription_expires not in (False, day))
        moved._check_reason(reason)
        for tenant in moved:
            change = f"{tenant.subscription_expires} -> {day or 'no end'}"
            self.env["loomworks.audit"]._record("change_expiry", tenant, f"{change}; {reason or ''}")

    def _check_plan(self, plan, reason):
        """Have a reason for another plan where it moves what was foreseen, and an audit entry."""
        moved = self._moved_by(plan.sudo()._terms()) if plan else self.browse()
        moved._check_reason(reason)
        self.env["loomworks.audit"]._record("change_plan", moved, f"{plan.name}: other days; {reason or ''}")

    def _moved_by(self, terms):
        """Return those of these tenants for whom other days would be foreseen by these terms."""

        def is_moved(one):
            return one.state != "draft" and foresee(one._life(), one.sudo().plan_id._terms()) != foresee(
                one._life(), terms
            )

        return self.filtered(is_moved)

    @api.onchange("subscription_expires", "plan_id")
    def _onchange_subscription_expires(self):
        """A reason is that of one change: the next one asks anew."""
        self.expires_reason = False

    def _begin_end(self):
        """The subscription is over from now on: promise when what happens, and tell."""
        now = fields.Datetime.now()
        for tenant in self:
            terms = tenant.plan_id._terms()
            archived = terms.archived_from(now)
            promised = {"archive_at": archived, "erase_promised_at": terms.erased_from(archived)}
            tenant.write({"ended_at": now, **promised, **UNTOLD})
        self._tell_ended()

    def _kept_until(self, archived):
        """As before; what was promised when the subscription ended is kept to."""
        if self.archive_at and self.erase_promised_at:
            return kept_until(archived, self.archive_at, self.erase_promised_at)
        return super()._kept_until(archived)

    def _call_off(self):
        self.write({**OPEN, **UNTOLD})
        self._close_ending_activities()

    # --- what the reconciler is told -------------------------------------------------------------------

    def _settle(self):
        """What has just been archived is saved once more, now that nobody changes it."""
        result = super()._settle()
        if self.state == "archived" and self.archived_at and not self.erased_at:
            self._save_archived()
        return result

    def _save_archived(self):
        """Have the files backed up, once; addons add what they save. Nothing here makes archiving fail."""
        made = self.files_backup_ids.filtered(lambda one: one.started_at >= self.archived_at)
        if not made and not self._is_being_filled() and self.cluster_id._files_place():
            self._request_files_backup().sudo().reconcile_at = self._look_again(SAVE_AFTER)

    def _spec_values(self):
        values = super()._spec_values()
        if self.state != "archived" or not (self.archived_at and self.erase_at):
            return values
        days = -((self.archived_at - self.erase_at) // DAY)  # rounded up
        return {**values, "deleted_at": f"{self.archived_at:%Y-%m-%dT%H:%M:%SZ}", "retention_days": days}

    def _steps(self):
        steps = super()._steps()
        steps.insert([step.code for step in steps].index("volume_claim") + 1, Retention())
        return steps

    @api.model
    def _guarded_fields(self):
        return super()._guarded_fields() | ENDING_FIELDS
