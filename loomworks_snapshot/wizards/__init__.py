from . import copy, restore_to
