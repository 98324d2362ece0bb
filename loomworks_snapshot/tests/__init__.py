from . import (
    test_access,
    test_base_backup,
    test_crons,
    test_database_server,
    test_metrics,
    test_repository,
    test_snapshot,
    test_with_a_server,
)
