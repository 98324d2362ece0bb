"""The whole content of a database, for comparing: every table but the journal's, every row as text, exactly."""


def state(cr):
    """Return {table: sorted rows as text}, read with settings under which the text is exact."""
    cr.execute("SAVEPOINT look")
    cr.execute(
        "SET LOCAL extra_float_digits = 3; SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO'; "
        "SET LOCAL bytea_output = 'hex'"
    )
    cr.execute(
        """
        SELECT format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'loomworks')
          AND n.nspname NOT LIKE 'pg\\_%' ORDER BY 1
        """
    )
    found = {}
    for (table,) in cr.fetchall():
        cr.execute(f"SELECT t::text FROM ONLY {table} t ORDER BY 1")
        found[table] = [row[0] for row in cr.fetchall()]
    cr.execute("ROLLBACK TO SAVEPOINT look; RELEASE SAVEPOINT look")
    return found


def checksum(cr, table, where="true"):
    """Return a digest of rows of one table."""
    cr.execute(f"SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {table} t WHERE {where}")
    return cr.fetchone()[0]
