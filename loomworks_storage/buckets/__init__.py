"""How the buckets are set that backups are in: encryption, life cycle, versions, locks. Never imports odoo."""
