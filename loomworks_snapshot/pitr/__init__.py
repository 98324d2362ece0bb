"""Restore one database of a server to a moment, out of its pgBackRest repository. Never imports odoo."""
