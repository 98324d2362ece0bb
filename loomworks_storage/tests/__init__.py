from . import (
    test_ending,
    test_files_backup,
    test_files_collect,
    test_files_place,
    test_files_restore,
    test_import_batch,
    test_imports,
    test_orphans,
    test_reset,
    test_volume,
    test_volume_resize,
    test_volume_status,
)
