"""When snapshots are taken and how long they are kept. Never imports odoo."""
