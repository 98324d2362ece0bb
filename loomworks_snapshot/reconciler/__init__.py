"""Steps that a copy of a tenant has beside a tenant's own; plain Python, usable without Odoo."""
