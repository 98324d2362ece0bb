"""When a tenant's data goes: the dates, and who has to be told before. Plain Python; never imports odoo."""
