from . import test_base_backup, test_database_server, test_metrics, test_snapshot
