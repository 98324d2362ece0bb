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
    tenant_reconcile,
    tenant_spec,
    tenant_step,
)
