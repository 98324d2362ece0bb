"""What an operation changed in a database, and exactly taking it back. Plain Python and SQL on a psycopg2 cursor.

install(cr)                              # triggers on every table, once; a no-op takes no lock
begin(cr, 42); ...; end(cr)              # in the transaction: what is changed between them is operation 42
report = preview(cr, [42])               # what undoing it would do, rolled back
report = undo(cr, [42], by=43)           # done, as operation 43; undo of 43 is the redo
uninstall(cr)
"""

from .capture import begin, end
from .install import install, uninstall
from .undo import preview, undo

__all__ = ["begin", "end", "install", "preview", "undo", "uninstall"]
