"""Tenants of another platform, brought in: what a source holds, which lines ask for it, and whether all has arrived.

Plain Python; never imports odoo. A source is only read, and nothing in it is believed: names are compared with what
Odoo writes and never followed, contents are hashed before they get a name. See docs/decisions/0028-imports.md.
"""
