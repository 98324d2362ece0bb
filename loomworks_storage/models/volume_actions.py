"""What follows from a reading: people are warned, once, and a volume grows by itself where its plan lets it."""

from markupsafe import Markup
from odoo import models
from odoo.addons.loomworks_tenant.kube import quantity

from ..volumes import policy

ALARM = "loomworks_storage.activity_volume"
GROWS_IN = {"provisioning", "active"}


class Volume(models.Model):
    """A volume that fills up."""

    _inherit = "loomworks.volume"

    def _act(self):
        """Let volumes grow that are to, and tell people of those that are nearly full, or no longer."""
        for row in self:
            grows, is_told = row._grow_by_itself(), row._look_at_level()
            if grows or is_told:
                self.env["ir.cron"]._commit_progress(0)

    # --- growing --------------------------------------------------------------------------------------

    def _grow_by_itself(self):
        """Ask for the next size, once the last growth has been measured, and tell whether that was done."""
        tenant = self.tenant_id
        wanted = self._next_size()
        if not wanted or not tenant.try_lock_for_update(allow_referencing=True):
            return False
        tenant._set_volume_size(wanted, self.env._("by itself, at %.0f %% full", self.used_percent))
        return True

    def _next_size(self):
        tenant = self.tenant_id
        wanted, has = quantity.size(tenant.volume_size), int(self.capacity_bytes)
        settled = self.growth == "none" and has >= wanted
        measured = self.read_at and (not tenant.volume_resized_at or self.read_at > tenant.volume_resized_at)
        if tenant.state not in GROWS_IN or not settled or not measured:
            return None
        # The storage may have rounded up, or somebody has grown the claim: less than there is would be no growth.
        return policy.next_size(max(wanted, has), self.used_percent, tenant._growth_rule())

    # --- telling people -------------------------------------------------------------------------------

    def _look_at_level(self):
        """Tell people where the level of warning has changed, and tell whether it has."""
        before = int(self.warning)
        level = policy.level(max(self.used_percent, self.inodes_percent), before)
        if level == before:
            return False
        self.warning = str(level)
        if level > before:
            self._warn(level)
        elif not level:
            self.tenant_id._end_alarm(ALARM, self.env._("The volume has room again."))
        return True

    def _warn(self, level):
        """Tell the tenant's administrators and the operators, by activity and by mail."""
        tenant, summary, note = self.tenant_id, self._summary(), self._note()
        tenant._alarms(ALARM).unlink()
        quiet = tenant.with_context(mail_activity_quick_update=True)  # its own mail says only that there is an activity
        people = self.env.ref("loomworks_tenant.group_operator").user_ids | tenant.admin_ids
        for user in people.filtered("active"):
            quiet.activity_schedule(ALARM, summary=summary, note=note, user_id=user.id)
        addresses = people.filtered("active").filtered("email").mapped("email_formatted")
        mail = {"subject": f"{tenant.name}: {summary}", "body_html": note, "auto_delete": True, "attachment_ids": []}
        mail |= {"model": tenant._name, "res_id": tenant.id}
        self.env["mail.mail"].sudo().create([{**mail, "email_to": address} for address in addresses])
        tenant.message_post(body=note)

    def _summary(self):
        if self.inodes_percent > self.used_percent:
            return self.env._("%.0f %% of the volume's inodes are used", self.inodes_percent)
        return self.env._("the volume is %.0f %% full", self.used_percent)

    def _note(self):
        what = self.env._(
            "%(used)s of %(size)s are used on the volume of “%(name)s” (%(percent).0f %%). %(forecast)s",
            used=self.used,
            size=quantity.readable(self.size_bytes),
            name=self.tenant_id.name,
            percent=self.used_percent,
            forecast=self.forecast,
        )
        return Markup("<p>%s</p><p>%s</p>") % (what, self._what_next())

    def _what_next(self):
        tenant = self.tenant_id
        rule, limit = tenant._growth_rule(), tenant._storage_limit()
        if rule.at and max(quantity.size(tenant.volume_size), self.capacity_bytes) < rule.ceiling:
            return self.env._("It grows by itself, up to %s.", quantity.canonical(rule.ceiling))
        if rule.at and rule.ceiling == limit:
            return self.env._(
                "It has reached the storage that the tenant may have, %s, and does not grow by itself any more: raise "
                "that limit, or resize it.",
                quantity.canonical(limit),
            )
        if rule.at:
            return self.env._("It has reached its ceiling, and does not grow by itself any more: resize it.")
        return self.env._("It does not grow by itself: resize it, or remove what is not needed.")
