"""Where a number sequence stood when an operation dropped it."""

import functools

from odoo.addons.base.models import ir_sequence

from .. import journal
from . import requests


def _remembering(drop):
    @functools.wraps(drop)
    def remembering_drop(cr, seq_names):
        operation = requests.current(cr)
        if operation is not None and seq_names:
            number = operation.arm(cr._cnx)
            if number is not None:
                with cr._cnx.cursor() as own:
                    journal.remember_sequences(own, number, seq_names)
        return drop(cr, seq_names)

    remembering_drop.loomworks = True
    return remembering_drop


# Odoo drops them by a function of its module, which all its methods call.
if not hasattr(ir_sequence._drop_sequences, "loomworks"):
    ir_sequence._drop_sequences = _remembering(ir_sequence._drop_sequences)
