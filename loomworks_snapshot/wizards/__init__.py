from . import choice, confirm, copy, export, restore_to
