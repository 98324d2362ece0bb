"""Kubernetes: names, manifests, the API boundary and what a status means. Never imports odoo."""
