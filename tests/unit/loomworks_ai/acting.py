"""What agents and people do in the tests of the journal: statements, committed."""

from addons.loomworks_ai import journal
from journal_state import state


def act(cr, number, *statements):
    """Do statements as operation ``number``, and commit; return what the journal says of it."""
    journal.begin(cr, number)
    for statement in statements:
        cr.execute(statement)
    told = journal.end(cr)
    cr.connection.commit()
    return told


def person(cr, *statements):
    """Do statements as nobody's operation, and commit."""
    for statement in statements:
        cr.execute(statement)
    cr.connection.commit()


def back_and_forth(cr, before, after):
    """Undo operation 1, redo it and undo it again: all is as it was ``before``, ``after`` and before it."""
    for number, content in ((1, before), (2, after), (3, before)):
        report = journal.undo(cr, [number], by=number + 1)
        assert report["done"], report
        assert state(cr) == content
        cr.connection.commit()
