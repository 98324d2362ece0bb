"""E-Maj's way to write down an UPDATE: the old and the new row into a table like the captured one.

What the trigger function does that E-Maj makes for a table (https://emaj.readthedocs.io, "Log tables"), and no more.
"""


def make(cr, table, when=""):
    """Make the log table of ``table`` and the function of its trigger, and switch it on."""
    cr.execute(f"CREATE TABLE {table}_log (LIKE {table}, image varchar(3), number bigint)")
    cr.execute(f"CREATE INDEX ON {table}_log (number); CREATE SEQUENCE {table}_numbers")
    cr.execute(
        f"""
        CREATE FUNCTION {table}_log() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO {table}_log SELECT OLD.*, 'OLD', nextval('{table}_numbers');
            INSERT INTO {table}_log SELECT NEW.*, 'NEW', lastval();
            RETURN NULL;
        END $$
        """
    )
    switch(cr, table, True, when)


def switch(cr, table, on, when=""):
    """Have the trigger of ``table``, or none, and an empty log."""
    cr.execute(f"DROP TRIGGER IF EXISTS emaj ON {table}")
    if on:
        cr.execute(f"CREATE TRIGGER emaj AFTER UPDATE ON {table} FOR EACH ROW {when} EXECUTE FUNCTION {table}_log()")
    cr.execute(f"TRUNCATE {table}_log")
