"""The figures of tenants' files, as Prometheus reads them."""

from datetime import timedelta

from odoo import fields

from ..backup.metrics import Metric

GRACE = timedelta(hours=2)  # beyond twice the plan's rhythm


def overdue(clusters):
    """Whose files have not been backed up for too long."""
    found = Metric("loomworks_files_backup_overdue", "Tenants whose files have missed two backups of their plan.")
    now = fields.Datetime.now()
    for cluster in clusters:
        tenants = cluster.tenant_ids.filtered(lambda one: one.state == "active" and one.plan_id.files_backup_hours)
        late = [
            one
            for one in tenants
            if (one.last_files_backup_at or one.create_date)
            < now - timedelta(hours=2 * one.plan_id.files_backup_hours) - GRACE
        ]
        found.add(len(late), cluster=cluster.name)
    return found


def failing(clusters):
    """Whose last backup failed."""
    found = Metric("loomworks_files_backup_failing", "Tenants whose last backup of files has failed.")
    for cluster in clusters:
        last = _last(cluster, ("done", "failed"))
        found.add(len(last.filtered(lambda one: one.state == "failed")), cluster=cluster.name)
    return found


def damaged(clusters):
    """Whose files are not whole."""
    found = Metric("loomworks_files_damaged", "Tenants with damaged files, or damaged objects in their last backup.")
    for cluster in clusters:
        last = _last(cluster, ("done",))
        found.add(len(last.filtered(lambda one: not one.whole)), cluster=cluster.name)
    return found


def _last(cluster, states):
    backups = cluster.env["loomworks.files.backup"]
    domain = [("cluster_id", "=", cluster.id), ("state", "in", states), ("tenant_id.erased_at", "=", False)]
    groups = backups._read_group(domain, ["tenant_id"], ["id:max"])
    return backups.browse([last for _tenant, last in groups])


MAKERS = (overdue, failing, damaged)
