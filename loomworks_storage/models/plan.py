"""What a plan says of the backups of files: how often, and how long they are kept."""

from odoo import fields, models


class Plan(models.Model):
    """A plan with a rhythm of backups of files."""

    _inherit = "loomworks.plan"

    files_backup_hours = fields.Integer(
        "Files backed up every (hours)", required=True, default=24, help="0: not by itself."
    )
    files_keep_days = fields.Integer(
        "Backups of files are kept (days)",
        required=True,
        default=15,
        help="A day more than the time of which the server can restore every moment; those that a snapshot needs stay.",
    )

    _files_not_negative = models.Constraint(
        "CHECK(files_backup_hours >= 0 AND files_keep_days > 0)",
        "Hours between backups of files cannot be negative, and they are kept for a day at least.",
    )
