"""The steps of a tenant's volume. Never imports odoo."""
