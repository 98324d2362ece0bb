"""One tenant as a file for its customer: the restored database and its files as a zip in Odoo's own backup format.

Plain Python; never imports odoo. See docs/decisions/0020-files-for-customers.md.
"""
