from . import own_defaults, place, setting  # isort: skip (before what inherits them)
from . import (
    alarms,
    audit,
    cluster,
    database_server,
    plan,
    reconcilable,
    template,
    tenant,
    tenant_actions,
    tenant_forgetting,
    tenant_reconcile,
    tenant_spec,
    tenant_step,
)
