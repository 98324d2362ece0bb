"""What a database held after each transaction, row by row, and what it would hold had some of them never happened.

Nothing of the journal is asked: tables are read before and after. A change of a row is taken at its word: had another
one never happened, this one would have written the same values into the same columns of the same row.
"""

from collections import namedtuple

from whole_state import whole_state

# A row that was added has no values before, one that was deleted none afterwards; otherwise: those that changed.
Change = namedtuple("Change", "table key before after")

KEYED = "SELECT to_regclass(%s)::oid IN (SELECT attrelid FROM pg_attribute WHERE attname = 'id' AND attnum > 0)"
ROWS = "SELECT {key}, (SELECT jsonb_object_agg(key, value) FROM jsonb_each_text(to_jsonb(t))) FROM ONLY {table} t"
WHOLE = "to_jsonb(t)::text"  # of what links records: all of it is the key


class Mirror:
    """The rows of every table that a journal is about, as this reads them."""

    def __init__(self):
        self._checksums = {}
        self._keys = {}  # table -> the expression that tells its rows apart
        self.tables = {}  # table -> key -> column -> value as text

    def look(self, cr):
        """Read again what is another than the last time; return the changes since."""
        now = whole_state(cr)
        changes = []
        for table in now.keys() | self._checksums.keys():
            if now.get(table) != self._checksums.get(table):
                before = self.tables.get(table, {})
                self.tables[table] = self._read(cr, table) if table in now else {}
                changes += differing(table, before, self.tables[table])
        self._checksums = now
        return changes

    def _read(self, cr, table):
        if table not in self._keys:
            cr.execute(KEYED, [table])
            self._keys[table] = "id" if cr.fetchone()[0] else WHOLE
        cr.execute("SET LOCAL extra_float_digits = 3")
        cr.execute(ROWS.format(key=self._keys[table], table=table))
        return dict(cr.fetchall())


def differing(table, before, after):
    """Return the changes from one content of a table to another."""
    changes = []
    for key in before.keys() | after.keys():
        old, new = before.get(key), after.get(key)
        if old and new:
            names = [name for name in new if old.get(name) != new[name]]
            old, new = ({name: row.get(name) for name in names} for row in (old, new))
        if old != new:
            changes.append(Change(table, key, old, new))
    return changes


class Without:
    """The rows that some transactions touched, as they would be had those of ``left_out`` never happened."""

    def __init__(self, history, left_out):
        """Work it out.

        :param history: (who, changes) of each transaction, in the order of their commits
        :param left_out: those of them that never happened
        """
        self.rows = {}  # (table, key) -> values, or None where there is no row
        first = {}
        for who, changes in history:
            for change in changes:
                row = change.table, change.key
                if row not in first:
                    first[row] = change
                    self.rows[row] = dict(change.before) if change.before else None
                elif change.before and self.rows[row] is not None:
                    for name, value in change.before.items():  # of columns that nobody has changed so far
                        self.rows[row].setdefault(name, value)
                if who not in left_out:
                    self._apply(row, change)

    def _apply(self, row, change):
        if change.after is None:
            self.rows[row] = None
        elif change.before is None:
            self.rows[row] = dict(change.after)
        elif self.rows[row] is not None:  # a row that is not there is nobody's to change
            self.rows[row].update(change.after)

    def differences(self, tables):
        """Return the cells of ``tables`` that are not as they would be: (table, key, column, expected, actual)."""
        found = []
        for (table, key), expected in self.rows.items():
            actual = tables.get(table, {}).get(key)
            if (expected is None) != (actual is None):
                found.append((table, key, None, expected, actual))
            elif expected:
                found += [
                    (table, key, name, value, actual.get(name))
                    for name, value in expected.items()
                    if value != actual.get(name)
                ]
        return found
