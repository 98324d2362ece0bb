from . import cluster, files_backup, files_crons, files_work, plan, reconcilable, tenant, tenant_files, tenant_volume
