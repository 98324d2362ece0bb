"""What a plan says of snapshots: how often, how many are kept, how many a customer may take."""

from odoo import fields, models

from ..schedule.retention import Policy

COUNTS = ("hourly", "daily", "weekly", "monthly")


class Plan(models.Model):
    """A plan with a rhythm of snapshots."""

    _inherit = "loomworks.plan"

    snapshot_minutes = fields.Integer(
        "Snapshot every (minutes)",
        required=True,
        default=1440,
        help="Each tenant has a minute of its own, so that they are spread. 0: none by itself.",
    )
    snapshot_keep_hourly = fields.Integer(
        "Hours", required=True, default=24, help="So many hours keep their newest snapshot."
    )
    snapshot_keep_daily = fields.Integer(
        "Days", required=True, default=7, help="So many days (UTC) keep their newest snapshot."
    )
    snapshot_keep_weekly = fields.Integer(
        "Weeks", required=True, default=4, help="So many weeks keep their newest snapshot."
    )
    snapshot_keep_monthly = fields.Integer(
        "Months", required=True, default=0, help="So many months keep their newest snapshot."
    )
    manual_snapshot_days = fields.Integer(
        "Snapshots taken by hand are kept (days)", required=True, default=30, help="And those before an AI operation."
    )
    manual_snapshots_hourly = fields.Integer(
        "By hand in an hour", required=True, default=6, help="For a tenant's administrators; operators have no limit."
    )
    manual_snapshots_daily = fields.Integer("By hand in a day", required=True, default=24)
    copies = fields.Integer(
        "Copies at a time",
        required=True,
        default=1,
        help="Neutralised ones that a tenant's administrators make for tests; operators have no limit.",
    )

    _snapshots_not_negative = models.Constraint(
        "CHECK(snapshot_minutes >= 0 AND snapshot_keep_hourly >= 0 AND snapshot_keep_daily >= 0"
        " AND snapshot_keep_weekly >= 0 AND snapshot_keep_monthly >= 0 AND manual_snapshot_days > 0"
        " AND manual_snapshots_hourly >= 0 AND manual_snapshots_daily >= 0 AND copies >= 0)",
        "Numbers of snapshots cannot be negative, and those taken by hand are kept for a day at least.",
    )

    def _retention(self):
        """Return the rules by which automatic snapshots are kept."""
        self.ensure_one()
        return Policy(**{name: self[f"snapshot_keep_{name}"] for name in COUNTS})
