"""Base backups of database servers: when they are made, and which may go. Never imports odoo."""
