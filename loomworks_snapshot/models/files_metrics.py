"""The figures of tenants' files, as Prometheus reads them."""

from datetime import timedelta

from odoo import fields

from ..backup.metrics import Metric

GRACE = timedelta(hours=2)  # beyond twice the plan's rhythm
CHECKED_WITHIN = timedelta(days=3)  # of a check each day
LIVE = [("tenant_id.erased_at", "=", False)]


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
    found = Metric("loomworks_files_damaged", "Tenants with damaged files, or damaged objects in a backup.")
    for cluster in clusters:
        backups = cluster.env["loomworks.files.backup"]
        last = _last(cluster, ("done",)).filtered(lambda one: not one.whole)
        lost = backups.search([("cluster_id", "=", cluster.id), ("state", "=", "done"), ("lost", ">", 0), *LIVE])
        found.add(len((last | lost).tenant_id), cluster=cluster.name)
    return found


def unchecked(clusters):
    """Whose objects in S3 nobody has looked at."""
    found = Metric("loomworks_files_unchecked", "Tenants whose objects in S3 were last looked at three days ago.")
    since = fields.Datetime.now() - CHECKED_WITHIN
    for cluster in clusters:
        old = [("cluster_id", "=", cluster.id), ("state", "=", "done"), ("finished_at", "<", since), *LIVE]
        seen = [*old, "|", ("tenant_id.files_checked_at", "=", False), ("tenant_id.files_checked_at", "<", since)]
        groups = cluster.env["loomworks.files.backup"]._read_group(seen, ["tenant_id"])
        found.add(len(groups), cluster=cluster.name)
    return found


def _last(cluster, states):
    backups = cluster.env["loomworks.files.backup"]
    domain = [("cluster_id", "=", cluster.id), ("state", "in", states), *LIVE]
    groups = backups._read_group(domain, ["tenant_id"], ["id:max"])
    return backups.browse([last for _tenant, last in groups])


MAKERS = (overdue, failing, damaged, unchecked)
