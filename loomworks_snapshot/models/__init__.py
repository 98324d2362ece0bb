from . import base_backup, database_server, server_metrics
