"""PostgreSQL: roles, databases, templates and identities of tenants. Never imports odoo."""
