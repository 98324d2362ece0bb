"""What a database holds, but for what no journal is about."""

CAPTURED = """
    SELECT c.oid, format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname = 'public'
      AND pg_relation_size(c.oid) > 0
      AND EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname = '00_loomworks_capture')
    ORDER BY 2
"""


def whole_state(cr):
    """Return {table: checksum of its rows, in whatever order}, exact to the last bit; empty tables are left out."""
    cr.execute("SET LOCAL extra_float_digits = 3")
    cr.execute(CAPTURED)
    names = [name for _oid, name in cr.fetchall()]
    parts = [
        f"SELECT '{name}', count(*) || ' ' || sum(hashtextextended(t::text, 0)::numeric) FROM ONLY {name} t"
        for name in names
    ]
    found = {}
    for start in range(0, len(parts), 100):
        cr.execute(" UNION ALL ".join(parts[start : start + 100]))
        found.update({name: checksum for name, checksum in cr.fetchall() if checksum})
    return found


def differences(before, after):
    """Return the tables that differ."""
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
