from . import (
    test_access,
    test_actions,
    test_audit,
    test_cluster,
    test_placement,
    test_plan,
    test_steps,
    test_tenant,
    test_workers,
)
