"""The figures of database servers' repositories, as Prometheus reads them."""

from datetime import timedelta

from odoo import api, fields, models

from ..backup.metrics import COUNTER, Metric


class DatabaseServer(models.Model):
    """A database server whose repository is watched from outside as well."""

    _inherit = "loomworks.database.server"

    @api.model
    def _metrics(self):
        """Return the figures of all servers, as the last look left them; to be extended by other addons."""
        servers = self._in_use()
        makers = (
            look_age,
            problem,
            archive_lag,
            archive_waiting,
            archive_failed,
            backup_age,
            proof_age,
            repository_size,
            unforgotten,
        )
        found = getattr(super(), "_metrics", list)()
        return [*found, *(make(servers) for make in (*makers, work_failures)), *drills(servers)]


def seconds_since(moment):
    """Return the age of a moment in seconds, None when it never came."""
    return (fields.Datetime.now() - moment).total_seconds() if moment else None


def look_age(servers):
    """Since when nobody has been able to ask a server."""
    found = Metric("loomworks_repository_look_age_seconds", "Time since the server was last asked successfully.")
    for server in servers:
        found.add(seconds_since(server.backup_checked_at), server=server.name)
    return found


def problem(servers):
    """Whether the control plane itself sees something wrong."""
    found = Metric("loomworks_repository_problem", "1 while the server's form names a problem of its backups.")
    for server in servers:
        found.add(server.backup_state == "problem", server=server.name)
    return found


def archive_lag(servers):
    """How long WAL waits."""
    found = Metric("loomworks_archive_lag_seconds", "How long the oldest unarchived WAL segment has been waiting.")
    for server in servers.filtered("backup_checked_at"):
        found.add(server.archive_lag_seconds, server=server.name)
    return found


def archive_waiting(servers):
    """How much WAL waits."""
    found = Metric("loomworks_archive_waiting_bytes", "WAL that is finished and not archived.")
    for server in servers.filtered("backup_checked_at"):
        found.add(server.archive_lag_bytes, server=server.name)
    return found


def archive_failed(servers):
    """How often archiving failed."""
    found = Metric("loomworks_archive_failed_total", "Failed attempts to archive a WAL segment.", COUNTER)
    for server in servers.filtered("backup_checked_at"):
        found.add(server.archive_failed_count, server=server.name)
    return found


def backup_age(servers):
    """How old the newest base backup is."""
    found = Metric("loomworks_last_backup_age_seconds", "Time since the end of the last usable base backup.")
    for server in servers:
        found.add(seconds_since(server.last_backup_at), server=server.name)
    return found


def proof_age(servers):
    """How old the oldest word on a snapshot is: they are proven anew every hour."""
    found = Metric("loomworks_snapshot_proof_age_seconds", "Time since the oldest proof of a snapshot that is ready.")
    for server in servers:
        found.add(seconds_since(server._oldest_proof()), server=server.name)
    return found


def repository_size(servers):
    """What the repository takes."""
    found = Metric("loomworks_repository_bytes", "Size of the objects in the server's repository.")
    for server in servers.filtered("backup_checked_at"):
        found.add(server.repository_backup_bytes, server=server.name, part="backup")
        found.add(server.repository_archive_bytes, server=server.name, part="archive")
    return found


def unforgotten(servers):
    """What should be gone by now."""
    found = Metric("loomworks_erased_not_forgotten", "Erased tenants that backups hold beyond the server's promise.")
    for server in servers.filtered("forget_days"):
        since = fields.Datetime.now() - timedelta(days=server.forget_days)
        domain = [("server_id", "=", server.id), ("erased_at", "<", since), ("forgotten_at", "=", False)]
        found.add(server.env["loomworks.tenant"].search_count(domain), server=server.name)
    return found


def work_failures(servers):
    """What keeps failing."""
    found = Metric("loomworks_repository_work_failures", "Failures since the last success of this kind of work.")
    for server in servers:
        for kind, count in (server.work_failures or {}).items():
            found.add(count, server=server.name, kind=kind)
    return found


def drills(servers):
    """How the last restore drill of each server went."""
    took = Metric(
        "loomworks_restore_drill_seconds", "How long the last successful drill took to restore a tenant (RTO)."
    )
    lost = Metric(
        "loomworks_restore_drill_lost_seconds", "What was not in the repository at the last drill's start (RPO)."
    )
    age = Metric(
        "loomworks_restore_drill_age_seconds",
        "Time since the last successful drill; without one, since the server got its first tenant.",
    )
    for server in servers:
        domain = [("server_id", "=", server.id), ("purpose", "=", "drill"), ("state", "=", "done")]
        last = server.env["loomworks.restore"].search(domain, limit=1)
        if last:
            took.add(last.total_seconds, server=server.name)
            lost.add(last.lost_seconds, server=server.name)
        age.add(seconds_since(last.finished_at or first_tenant_at(server)), server=server.name)
    return [took, lost, age]


def first_tenant_at(server):
    """Return since when there has been something on a server that a drill could restore; nothing when there is not."""
    domain = [("server_id", "=", server.id), ("state", "in", ("active", "suspended")), ("erased_at", "=", False)]
    return server.env["loomworks.tenant"].search(domain, order="create_date", limit=1).create_date
