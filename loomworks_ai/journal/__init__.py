"""What an operation changed in a database, and exactly taking it back. Plain Python and SQL on a psycopg2 cursor.

install(cr)                              # triggers on every table, once; a no-op takes no lock
begin(cr, 42); ...; end(cr)              # in the transaction: what is changed between them is operation 42
report = preview(cr, [42])               # what undoing it would do, rolled back
report = undo(cr, [42], by=43)           # done, as operation 43; undo of 43 is the redo
uninstall(cr)
"""

from . import capture, files, history, schema, sequences
from . import install as installing
from . import undo as undoing
from .names import plain
from .undo import PREVIEW, NeedsPrimary

accounted = plain(history.accounted)
add_effect = plain(capture.add_effect)
begin = plain(capture.begin)
changes = plain(history.changes)
counts = plain(history.counts)
created = plain(history.created)
drop_months = plain(schema.drop_months)
effects = plain(undoing.effects)
end = plain(capture.end)
ensure_months = plain(schema.ensure_months)
first_moment = plain(history.first_moment)
forgotten_files = plain(files.forgotten)
install = plain(installing.install)
mark_restore_only = plain(capture.mark_restore_only)
named_files = plain(files.named)
numbers = plain(history.numbers)
overlooked = capture.overlooked
preview = plain(undoing.preview)
remember_sequences = plain(sequences.remember)
require_writing = plain(undoing.require_writing)
resume = plain(capture.resume)
touched = plain(history.touched)
undo = plain(undoing.undo)
uninstall = plain(installing.uninstall)

__all__ = [
    "PREVIEW",
    "NeedsPrimary",
    "accounted",
    "add_effect",
    "begin",
    "changes",
    "counts",
    "created",
    "drop_months",
    "effects",
    "end",
    "ensure_months",
    "first_moment",
    "forgotten_files",
    "install",
    "mark_restore_only",
    "named_files",
    "numbers",
    "overlooked",
    "preview",
    "remember_sequences",
    "require_writing",
    "resume",
    "touched",
    "undo",
    "uninstall",
]
