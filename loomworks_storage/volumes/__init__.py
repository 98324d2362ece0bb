"""A tenant's volume through its life: how it stands, how full it is, when it grows. Never imports odoo."""
