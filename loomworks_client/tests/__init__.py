from . import (
    test_concurrent_users,
    test_control_plane_calls,
    test_first_login,
    test_full_volume,
    test_kept_files,
    test_module,
    test_platform_parameters,
    test_service_user,
    test_user_limit,
)
