from importlib.util import find_spec

from . import (
    test_access,
    test_base_backup,
    test_crons,
    test_database_server,
    test_metrics,
    test_repository,
    test_restore,
    test_snapshot,
    test_snapshot_workers,
)

if find_spec("harness"):  # what starts real servers is the repository's, not the addon's
    from . import test_with_a_server
