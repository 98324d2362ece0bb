from . import test_access, test_dialog, test_retention, test_values
