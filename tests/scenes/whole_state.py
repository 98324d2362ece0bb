"""What a database holds, but for what no journal is about."""

CAPTURED = """
    SELECT format('%I.%I', n.nspname, c.relname), concat_ws(' ', c.oid, pg_relation_filenode(c.oid), (
        SELECT sum(hashtextextended(concat_ws(' ', attnum, attname, atttypid, atttypmod, attmissingval::text), 0))
        FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0))
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname = 'public'
      AND pg_relation_size(c.oid) > 0
      AND EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname = '00_loomworks_capture')
    ORDER BY 1
"""
# A row's version is written once: where it lies and who wrote it tell it from every other one of its table.
VERSIONS = "count(*) || ' ' || sum(hashtidextended(ctid, xmin::text::int8))"
CONTENT = "count(*) || ' ' || sum(hashtextextended(t::text, 0))"
AT_ONCE = 100  # tables

_known = {}  # (database, table): its structure with the versions of its rows, and their checksum


def whole_state(cr):
    """Return {table: checksum of its rows, in whatever order}, exact to the last bit; empty tables are left out.

    Rows are read in full only in tables of which some row has another version than the last time.
    """
    cr.execute("SET LOCAL extra_float_digits = 3")
    cr.execute("SELECT oid FROM pg_database WHERE datname = current_database()")
    [database] = cr.fetchone()
    cr.execute(CAPTURED)
    structures = dict(cr.fetchall())
    versions = {name: (structures[name], found) for name, found in _of_each(cr, VERSIONS, structures).items()}
    other = [name for name, found in versions.items() if _known.get((database, name), (None,))[0] != found]
    _known.update({(database, name): (versions[name], told) for name, told in _of_each(cr, CONTENT, other).items()})
    return {name: _known[database, name][1] for name in versions}


def _of_each(cr, expression, names):
    """Return {table: what an expression over its rows is}, of those that have rows."""
    parts = [f"SELECT '{name}', {expression} FROM ONLY {name} t" for name in names]
    found = {}
    for start in range(0, len(parts), AT_ONCE):
        cr.execute(" UNION ALL ".join(parts[start : start + AT_ONCE]))
        found.update({name: told for name, told in cr.fetchall() if told})
    return found


def differences(before, after):
    """Return the tables that differ."""
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
