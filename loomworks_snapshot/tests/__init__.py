from importlib.util import find_spec

from . import (
    test_alerts,
    test_base_backup,
    test_database_server,
    test_import_metrics,
    test_metrics,
    test_repository,
    test_volume_metrics,
)

if find_spec("harness"):  # repositories in memory and real servers are the repository's, not the addon's
    from . import (
        test_access,
        test_agent,
        test_copies,
        test_crons,
        test_download,
        test_download_link,
        test_final_snapshot,
        test_forgetting,
        test_reset,
        test_restore,
        test_restore_killed,
        test_snapshot,
        test_snapshot_files,
        test_snapshot_workers,
        test_time_machine,
        test_with_a_server,
    )
