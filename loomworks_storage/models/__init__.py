from . import (
    cluster,
    ending_crons,
    files_backup,
    files_crons,
    files_work,
    plan,
    reconcilable,
    tenant,
    tenant_ending,
    tenant_files,
    tenant_volume,
)
