"""Who did what: rows that nobody changes or removes, not even through SQL."""

from odoo import api, fields, models
from odoo.exceptions import AccessError
from odoo.http import request
from odoo.tools import SQL

# Raised by the server itself, so that raw SQL and a clone's maintenance scripts are refused as well.
GUARD = SQL(
    """
    CREATE OR REPLACE FUNCTION loomworks_audit_is_final() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'audit rows are final';
    END $$;
    CREATE OR REPLACE TRIGGER loomworks_audit_is_final
        BEFORE UPDATE OR DELETE OR TRUNCATE ON loomworks_audit
        FOR EACH STATEMENT EXECUTE FUNCTION loomworks_audit_is_final();
    """
)


class Audit(models.Model):
    """One privileged action: who, what, on what, from where, and what came of it."""

    _name = "loomworks.audit"
    _description = "Audit entry"
    _order = "id desc"
    _rec_name = "action"
    _log_access = False  # its own columns say who and when; nothing writes to a row twice

    date = fields.Datetime(required=True, readonly=True, index=True, default=fields.Datetime.now)
    user_id = fields.Integer("User ID", required=True, readonly=True)
    login = fields.Char(required=True, readonly=True)
    action = fields.Char(required=True, readonly=True)
    model_name = fields.Char(readonly=True)
    record_id = fields.Integer(readonly=True, index=True)
    record_name = fields.Char("On", readonly=True)
    remote_address = fields.Char("From", readonly=True)
    result = fields.Char(readonly=True)

    def init(self):
        """Guard the table itself: entries are final for raw SQL, too."""
        self.env.cr.execute(GUARD)

    @api.model
    def _record(self, action, records, result=""):
        """Write one entry for each record: plain values, so that it outlives what it names."""
        address = request.httprequest.remote_addr if request else "control plane"
        self.sudo().create(
            [
                {
                    "user_id": self.env.uid,
                    "login": self.env.user.login,
                    "action": action,
                    "model_name": record._name,
                    "record_id": record.id,
                    "record_name": record.display_name,
                    "remote_address": address,
                    "result": result,
                }
                for record in records
            ]
        )

    def write(self, vals):
        """Refuse: nobody edits the audit log."""
        raise AccessError(self.env._("Audit entries are final: they cannot be changed."))

    @api.ondelete(at_uninstall=False)
    def _unlink_never(self):
        raise AccessError(self.env._("Audit entries are final: they cannot be removed."))
