"""Who did what: rows that nobody changes or removes, not even through SQL."""

from odoo import api, fields, models
from odoo.exceptions import AccessError
from odoo.http import request
from odoo.tools import SQL

# Raised by the server itself, so that raw SQL and a clone's maintenance scripts are refused as well. One change there
# is: an entry about a tenant that is gone, and whose own row has no name any more, takes what that row says instead.
GUARD = SQL(
    """
    CREATE OR REPLACE FUNCTION loomworks_audit_is_final() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'UPDATE' AND NEW.result = ''
            AND to_jsonb(NEW) - '{record_name,result}'::text[] = to_jsonb(OLD) - '{record_name,result}'::text[]
            AND EXISTS (
                SELECT FROM loomworks_tenant t WHERE t.id = OLD.tenant_id AND t.erased_at IS NOT NULL
                   AND t.name = NEW.record_name AND t.name = 'Erased tenant ' || left(t.uuid, 8)
            )
        THEN
            RETURN NEW;
        END IF;
        RAISE EXCEPTION 'audit rows are final';
    END $$;
    CREATE OR REPLACE TRIGGER loomworks_audit_is_final
        BEFORE DELETE OR TRUNCATE ON loomworks_audit
        FOR EACH STATEMENT EXECUTE FUNCTION loomworks_audit_is_final();
    CREATE OR REPLACE TRIGGER loomworks_audit_row_is_final
        BEFORE UPDATE ON loomworks_audit
        FOR EACH ROW EXECUTE FUNCTION loomworks_audit_is_final();
    """
)


class Audit(models.Model):
    """One privileged action: who, what, on what, from where, and what came of it."""

    _name = "loomworks.audit"
    _inherit = ["loomworks.own.defaults"]
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
    tenant_id = fields.Integer("Tenant's ID", readonly=True, index=True, help="Whom it is about; 0: nobody.")
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
                    "tenant_id": _tenant_of(record).id,
                    "remote_address": address,
                    "result": result,
                }
                for record in records
            ]
        )

    @api.model
    def _forget_names(self, tenants):
        """Have the entries about erased tenants say who did what and when, but no more with which name and words.

        :param tenants: whose own rows have no name any more
        """
        self.env.flush_all()
        self.env.cr.execute(
            SQL(
                """
                UPDATE loomworks_audit entry SET record_name = tenant.name, result = ''
                  FROM loomworks_tenant tenant WHERE tenant.id = entry.tenant_id AND tenant.id IN %s
                   AND (entry.record_name, entry.result) IS DISTINCT FROM (tenant.name, '')
                """,
                tuple(tenants.ids),
            )
        )
        self.invalidate_model(["record_name", "result"])

    def write(self, vals):
        """Refuse: nobody edits the audit log."""
        raise AccessError(self.env._("Audit entries are final: they cannot be changed."))

    @api.ondelete(at_uninstall=False)
    def _unlink_never(self):
        raise AccessError(self.env._("Audit entries are final: they cannot be removed."))


def _tenant_of(record):
    """Return the tenant that a record is, or belongs to."""
    if record._name == "loomworks.tenant":
        return record
    field = record._fields.get("tenant_id")
    belongs = field and field.comodel_name == "loomworks.tenant"
    return record.sudo().tenant_id if belongs else record.env["loomworks.tenant"]
