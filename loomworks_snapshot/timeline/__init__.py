"""What a tenant can be brought back to, how long that takes and what it costs: plain Python, never imports odoo."""
