from . import restore_to
