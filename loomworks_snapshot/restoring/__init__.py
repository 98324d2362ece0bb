"""What the control plane does for a restore: a Job beside the server, a new database, and the change to it.

Plain Python; never imports odoo.
"""
