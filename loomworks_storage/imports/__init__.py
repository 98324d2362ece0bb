"""What the control plane does to bring a tenant of another platform in: Jobs in the new tenant's namespace.

Plain Python; never imports odoo. What the first Job does is in ``importing``.
"""
