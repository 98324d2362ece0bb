"""Where a number sequence stood when an operation dropped it, or set it to another number."""

import functools

from odoo.addons.base.models import ir_sequence

from .. import journal
from . import requests


def _remember(cr, names):
    operation = requests.current(cr)
    number = operation.arm(cr._cnx) if operation is not None and names else None
    if number is not None:
        with cr._cnx.cursor() as own:
            journal.remember_sequences(own, number, names)


def _remembering_drop(drop):
    @functools.wraps(drop)
    def remembering(cr, seq_names):
        _remember(cr, seq_names)
        return drop(cr, seq_names)

    return remembering


def _remembering_alter(alter):
    @functools.wraps(alter)
    def remembering(cr, seq_name, number_increment=None, number_next=None):
        _remember(cr, [seq_name] if number_next is not None else [])
        return alter(cr, seq_name, number_increment=number_increment, number_next=number_next)

    return remembering


# Odoo drops and sets them by functions of its module, which all its methods call.
if not hasattr(ir_sequence._drop_sequences, "__wrapped__"):
    ir_sequence._drop_sequences = _remembering_drop(ir_sequence._drop_sequences)
    ir_sequence._alter_sequence = _remembering_alter(ir_sequence._alter_sequence)
