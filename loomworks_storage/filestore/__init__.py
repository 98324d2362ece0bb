"""A tenant's files in S3: one encrypted object for each content, a manifest for each backup. Never imports odoo.

Odoo keeps its files as ``<2 hex>/<40 hex>`` below ``filestore/<database>``: named by the SHA-1 of their content and
never rewritten. See docs/decisions/0017-filestore-objects.md.
"""
