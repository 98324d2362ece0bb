"""The figures of tenants' volumes, as Prometheus reads them."""

from odoo import fields

from ..backup.metrics import Metric

STUCK = ("failing", "unanswered", "infeasible")


def nearly_full(clusters):
    """Whose volumes are at a level of warning."""
    found = Metric("loomworks_volumes_nearly_full", "Tenants whose volume is at least so many percent full.")
    for cluster in clusters:
        for level in ("80", "90"):
            levels = [one for one in ("80", "90") if one >= level]
            found.add(_count(cluster, ("warning", "in", levels)), cluster=cluster.name, percent=level)
    return found


def unbound(clusters):
    """Whose claims have no volume."""
    found = Metric("loomworks_volumes_not_bound", "Tenants whose claim has no volume, or has lost it.")
    for cluster in clusters:
        found.add(_count(cluster, ("phase", "!=", "Bound")), cluster=cluster.name)
    return found


def stuck(clusters):
    """Whose volumes do not grow although they are to."""
    found = Metric("loomworks_volume_growth_stuck", "Tenants whose volume does not grow although it is to.")
    for cluster in clusters:
        found.add(_count(cluster, ("growth", "in", STUCK)), cluster=cluster.name)
    return found


def look_age(clusters):
    """Since when nobody has looked."""
    found = Metric("loomworks_volumes_look_age_seconds", "Time since the cluster's volumes were last looked at.")
    for cluster in clusters:
        if cluster.volumes_read_at:
            age = fields.Datetime.now() - cluster.volumes_read_at
            found.add(age.total_seconds(), cluster=cluster.name)
    return found


def _count(cluster, term):
    domain = [("cluster_id", "=", cluster.id), ("tenant_id.state", "!=", "archived"), term]
    return cluster.env["loomworks.volume"].search_count(domain)


MAKERS = (nearly_full, unbound, stuck, look_age)
