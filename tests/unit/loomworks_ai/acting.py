"""What agents and people do in the tests of the journal: statements, committed."""

from addons.loomworks_ai import journal


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
