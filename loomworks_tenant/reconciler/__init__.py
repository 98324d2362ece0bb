"""From what a tenant should be to what it is: specifications, steps and their engine. Never imports odoo."""
