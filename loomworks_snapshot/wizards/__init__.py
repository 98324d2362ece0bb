from . import copy, export, restore_to
