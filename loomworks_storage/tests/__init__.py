from . import test_volume
