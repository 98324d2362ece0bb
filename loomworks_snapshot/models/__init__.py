from . import (
    base_backup,
    cluster,
    database_server,
    plan,
    reconcilable,
    repository,
    server_metrics,
    snapshot,
    snapshot_actions,
    snapshot_crons,
    snapshot_work,
    tenant,
)
