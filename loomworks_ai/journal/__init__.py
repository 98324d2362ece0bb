"""What an operation changed in a database, and exactly taking it back. Plain Python and SQL on a psycopg2 cursor.

install(cr)                              # triggers on every table, once; a no-op takes no lock
begin(cr, 42); ...; end(cr)              # in the transaction: what is changed between them is operation 42
report = preview(cr, [42])               # what undoing it would do, rolled back
report = undo(cr, [42], by=43)           # done, as operation 43; undo of 43 is the redo
uninstall(cr)
"""

from .capture import add_effect, begin, end, mark_restore_only, overlooked, resume
from .files import forgotten as forgotten_files
from .files import named as named_files
from .history import accounted, changes, counts, first_moment, touched
from .install import install, uninstall
from .schema import drop_months, ensure_months
from .sequences import remember as remember_sequences
from .undo import NeedsPrimary, effects, preview, require_writing, undo

__all__ = [
    "NeedsPrimary",
    "accounted",
    "add_effect",
    "begin",
    "changes",
    "counts",
    "drop_months",
    "effects",
    "end",
    "ensure_months",
    "first_moment",
    "forgotten_files",
    "install",
    "mark_restore_only",
    "named_files",
    "overlooked",
    "preview",
    "remember_sequences",
    "require_writing",
    "resume",
    "touched",
    "undo",
    "uninstall",
]
