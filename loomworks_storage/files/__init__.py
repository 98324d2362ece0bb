"""What the control plane does for a tenant's files: the tenant's key, and Jobs that have the volume.

Plain Python; never imports odoo. What such a Job does is in ``filestore``.
"""
