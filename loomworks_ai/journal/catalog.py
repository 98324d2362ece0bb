"""The tables of the database: which are captured, by which key, and what hangs on what."""

from __future__ import annotations

from dataclasses import dataclass, field

from psycopg2 import sql

from . import rules
from .sqltext import Cursor, Name, Part, rows, value

# The operator by which a unique index tells values of its column ``position`` apart.
EQUALITY = """(
    SELECT format('OPERATOR(%%I.%%s)', on_.nspname, o.oprname)
    FROM pg_opclass oc JOIN pg_amop am ON am.amopfamily = oc.opcfamily AND am.amopstrategy = 3
      AND am.amoplefttype = oc.opcintype AND am.amoprighttype = oc.opcintype
    JOIN pg_operator o ON o.oid = am.amopopr JOIN pg_namespace on_ ON on_.oid = o.oprnamespace
    WHERE oc.oid = (i.indclass::oid[])[position - 1]
)"""
# A key is the primary key, or else a unique index of plain columns that are never null; the narrowest one.
TABLES = """
    SELECT c.oid, n.nspname AS schema_name, c.relname AS table_name, c.relkind = 'p' AS partitioned,
           COALESCE(key.columns, '{}') AS key, COALESCE(key.operators, '{}') AS operators,
           attribute.columns, attribute.generated, attribute.numbered,
           COALESCE(key.columns <@ (
               SELECT array_agg(a.attname::text) FROM pg_constraint k JOIN pg_attribute a ON a.attrelid = k.conrelid
               AND a.attnum = ANY(k.conkey) WHERE k.conrelid = c.oid AND k.contype = 'f'), false) AS linking,
           EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal
                   AND g.tgname <> '00_loomworks_capture') AS triggered
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    CROSS JOIN LATERAL (
        SELECT jsonb_object_agg(a.attname, format_type(a.atttypid, a.atttypmod)) AS columns,
               COALESCE(array_agg(a.attname::text) FILTER (WHERE a.attgenerated <> ''), '{}') AS generated,
               COALESCE(array_agg(a.attname::text) FILTER (
                   WHERE a.attidentity <> '' OR pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%%'), '{}') AS numbered
        FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    ) attribute
    LEFT JOIN LATERAL (
        SELECT array_agg(a.attname::text ORDER BY k.position) AS columns,
               array_agg(<equality> ORDER BY k.position) AS operators
        FROM pg_index i
        CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, position)
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
        WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
          AND k.position <= i.indnkeyatts
        GROUP BY i.indexrelid, i.indisprimary, i.indnkeyatts
        HAVING bool_and(a.attnotnull AND a.attgenerated = '')
        ORDER BY i.indisprimary DESC, i.indnkeyatts, i.indexrelid
        LIMIT 1
    ) key ON true
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
      AND n.nspname NOT IN ('information_schema', 'loomworks') AND n.nspname !~ '^pg_'
      AND pg_has_role(c.relowner, 'USAGE') AND attribute.columns IS NOT NULL
      AND NOT EXISTS (
          SELECT FROM pg_depend d
          WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
      )
""".replace("<equality>", EQUALITY)
AMONG = " AND c.oid = ANY(%(oids)s::oid[])"
# The tables of Odoo's wizards, and those that only link them to something.
TRANSIENT = """
    WITH wizard AS MATERIALIZED (SELECT replace(model, '.', '_') AS name FROM public.ir_model WHERE transient)
    SELECT name FROM wizard
  UNION ALL
    SELECT c.relname FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_class r ON r.oid = k.confrelid
    JOIN wizard ON wizard.name = r.relname
    WHERE k.contype = 'f' AND c.relnamespace = 'public'::regnamespace
      AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'id')
"""


@dataclass(frozen=True)
class Table:
    """A table as it is now."""

    oid: int
    schema: str
    name: str
    partitioned: bool
    key: tuple[str, ...]
    operators: tuple[str, ...]  # by which values of the key's columns are equal
    columns: dict[str, str] = field(hash=False)  # name -> type
    generated: frozenset[str]
    secret: tuple[str, ...]
    left_out: tuple[str, ...]
    lasting: bool  # the key is a number from a sequence, or only references: a row that is not there has not moved
    triggered: bool  # it has triggers other than ours

    @property
    def hidden(self) -> list[str]:
        """The columns that the journal does not hold: generated ones, secrets, and those left out."""
        return sorted({*self.generated, *self.secret, *self.left_out})

    @property
    def secret_rows(self) -> rules.SecretRows | None:
        """Which rows have more secrets than `secret` says."""
        return rules.secret_rows(self.schema, self.name, self.columns)

    @property
    def has_secrets(self) -> bool:
        """Whether any row may have secrets."""
        return bool(self.secret or self.secret_rows)

    @property
    def label(self) -> str:
        """The table's name for people: without ``public``."""
        return label(self.schema, self.name)

    @property
    def sql(self) -> Part:
        """The quoted name."""
        return Name(self.schema, self.name)

    @property
    def only(self) -> Part:
        """The quoted name, without the tables that inherit from it: they are captured on their own."""
        return self.sql if self.partitioned else sql.SQL("ONLY {}").format(self.sql)


def label(schema: str, table: str) -> str:
    """Return a table's name for people."""
    return table if schema == "public" else f"{schema}.{table}"


def tables(cr: Cursor, oids: list[int] | None = None) -> list[Table]:
    """Return every table that is captured, or would be.

    :param oids: only of these
    """
    transient = _transient(cr, oids)
    query = TABLES if oids is None else TABLES + AMONG
    return [
        _table(row)
        for row in rows(cr, sql.SQL(query), {"oids": oids})
        if not rules.is_left_out(row["schema_name"], row["table_name"], transient)
    ]


def tables_of_credentials(cr: Cursor, oids: list[int]) -> list[Table]:
    """Return those of these tables that hold nothing but credentials, and are not captured for that."""
    found = rows(cr, sql.SQL(TABLES + AMONG), {"oids": oids})
    return [_table(row) for row in found if rules.is_of_credentials(row["schema_name"], row["table_name"])]


def filled(cr: Cursor, among: list[int]) -> frozenset[int]:
    """Return the tables, by oid, that have any page: the others are empty for sure."""
    query = "SELECT oid FROM pg_class WHERE oid = ANY(%s::oid[]) AND (relkind = 'p' OR pg_relation_size(oid) > 0)"
    return frozenset(row["oid"] for row in rows(cr, query, [among]))


def _table(row: dict) -> Table:
    return Table(
        oid=row["oid"],
        schema=row["schema_name"],
        name=row["table_name"],
        partitioned=row["partitioned"],
        key=tuple(row["key"]),
        operators=tuple(row["operators"]),
        columns=row["columns"],
        generated=frozenset(row["generated"]),
        secret=rules.secrets(row["schema_name"], row["table_name"], row["columns"]),
        left_out=tuple(
            name for name in rules.left_out_columns(row["schema_name"], row["table_name"]) if name in row["columns"]
        ),
        lasting=row["linking"] or (len(row["key"]) == 1 and row["key"][0] in row["numbered"]),
        triggered=row["triggered"],
    )


def _transient(cr: Cursor, oids: list[int] | None) -> frozenset[str]:
    """Return the tables of Odoo's wizards, whose rows are swept away anyhow."""
    if not value(cr, "SELECT to_regclass('public.ir_model') IS NOT NULL"):
        return frozenset()
    query = TRANSIENT if oids is None else TRANSIENT + AMONG
    return frozenset(row["name"] for row in rows(cr, query, {"oids": oids}))


@dataclass(frozen=True)
class ForeignKey:
    """A reference from ``columns`` of ``table`` to ``referenced_columns`` of ``referenced``. Tables by oid."""

    name: str
    table: int
    columns: tuple[str, ...]
    referenced: int
    referenced_columns: tuple[str, ...]
    operators: tuple[str, ...]  # by which a value of the latter and one of the former are equal
    own_operators: tuple[str, ...]  # by which two of the former are
    on_delete: str  # pg_constraint.confdeltype: a(no action), r(estrict), c(ascade), n(ull), d(efault)
    minded: bool  # nothing happens to a referring row unnoticed: the server refuses at once, or counts what it does


@dataclass(frozen=True)
class UniqueIndex:
    """A unique index: its expressions as SQL over the table's columns, its plain columns, and its predicate."""

    name: str
    table: int
    expressions: tuple[str, ...]
    columns: tuple[str, ...]
    within: tuple[str, ...]  # columns of the other expressions
    deciding: tuple[str, ...]  # columns of the predicate
    operators: tuple[str, ...]  # by which values of the expressions are equal
    predicate: str | None
    nulls_equal: bool
    primary: bool

    @property
    def sources(self) -> tuple[str, ...]:
        """All columns from which it follows whether rows are unique."""
        return tuple(dict.fromkeys((*self.columns, *self.within, *self.deciding)))


FOREIGN_KEYS = """
    SELECT k.conname AS name, k.conrelid AS table, k.confrelid AS referenced, k.confdeltype AS on_delete, m.minded,
           (SELECT array_agg(format('OPERATOR(%%I.%%s)', n.nspname, o.oprname) ORDER BY u.position)
            FROM unnest(k.conpfeqop) WITH ORDINALITY u(operator, position)
            JOIN pg_operator o ON o.oid = u.operator JOIN pg_namespace n ON n.oid = o.oprnamespace) AS operators,
           (SELECT array_agg(format('OPERATOR(%%I.%%s)', n.nspname, o.oprname) ORDER BY u.position)
            FROM unnest(k.conffeqop) WITH ORDINALITY u(operator, position)
            JOIN pg_operator o ON o.oid = u.operator JOIN pg_namespace n ON n.oid = o.oprnamespace) AS own_operators,
           (SELECT array_agg(a.attname::text ORDER BY u.position)
            FROM unnest(k.conkey) WITH ORDINALITY u(attnum, position)
            JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.attnum) AS columns,
           (SELECT array_agg(a.attname::text ORDER BY u.position)
            FROM unnest(k.confkey) WITH ORDINALITY u(attnum, position)
            JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.attnum) AS referenced_columns
    FROM pg_constraint k
    CROSS JOIN LATERAL (
        SELECT NOT k.condeferrable AND EXISTS (
            SELECT FROM pg_trigger t WHERE t.tgrelid = k.conrelid AND t.tgname = '00_loomworks_capture') AS minded
    ) m
    WHERE k.contype = 'f' AND k.conparentid = 0 AND (
        k.conrelid = ANY(%(referring)s::oid[]) OR k.confrelid = ANY(%(referenced)s::oid[])
        AND m.minded = %(minded)s AND (
            SELECT c.relkind = 'p' OR pg_relation_size(c.oid) > 0 FROM pg_class c WHERE c.oid = k.conrelid))
    ORDER BY k.oid
"""
# The columns that a stored expression is of: ``varattno`` in the text of its tree (PostgreSQL's nodes/primnodes.h).
COLUMNS_OF = """(
    SELECT array_agg(DISTINCT a.attname::text) FROM regexp_matches({0}::text, ':varattno ([0-9]+)', 'g') found
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = found[1]::int)"""
UNIQUE_INDEXES = """
    SELECT c.relname AS name, i.indrelid AS table, i.indisprimary AS primary,
           (SELECT array_agg(pg_get_indexdef(i.indexrelid, position, true) ORDER BY position)
            FROM generate_series(1, i.indnkeyatts) AS position) AS expressions,
           (SELECT array_agg(<equality> ORDER BY position)
            FROM generate_series(1, i.indnkeyatts) AS position) AS operators,
           (SELECT array_agg(a.attname::text ORDER BY u.position)
            FROM unnest(i.indkey::int2[]) WITH ORDINALITY u(attnum, position)
            JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = u.attnum
            WHERE u.position <= i.indnkeyatts) AS columns,
           <within> AS within, <deciding> AS deciding,
           pg_get_expr(i.indpred, i.indrelid) AS predicate, i.indnullsnotdistinct AS nulls_equal
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE i.indisunique AND i.indisvalid AND i.indrelid = ANY(%s::oid[])
    ORDER BY i.indexrelid
""".replace("<equality>", EQUALITY)
UNIQUE_INDEXES = UNIQUE_INDEXES.replace("<within>", COLUMNS_OF.format("i.indexprs"))
UNIQUE_INDEXES = UNIQUE_INDEXES.replace("<deciding>", COLUMNS_OF.format("i.indpred"))


def foreign_keys(cr: Cursor, referring: list[int], referenced: list[int], *, minded: bool) -> list[ForeignKey]:
    """Return the foreign keys of the tables ``referring``, and of tables with rows those to ``referenced``.

    :param minded: of the latter only those that are, or are not
    """
    parameters = {"referring": referring, "referenced": referenced, "minded": minded}
    return [
        ForeignKey(
            name=row["name"],
            table=row["table"],
            columns=tuple(row["columns"]),
            referenced=row["referenced"],
            referenced_columns=tuple(row["referenced_columns"]),
            operators=tuple(row["operators"]),
            own_operators=tuple(row["own_operators"]),
            on_delete=row["on_delete"],
            minded=row["minded"],
        )
        for row in rows(cr, FOREIGN_KEYS, parameters)
    ]


def unique_indexes(cr: Cursor, oids: list[int]) -> list[UniqueIndex]:
    """Return the unique indexes of tables."""
    return [
        UniqueIndex(
            name=row["name"],
            table=row["table"],
            expressions=tuple(row["expressions"]),
            columns=tuple(row["columns"] or ()),
            within=tuple(row["within"] or ()),
            deciding=tuple(row["deciding"] or ()),
            operators=tuple(row["operators"]),
            predicate=row["predicate"],
            nulls_equal=row["nulls_equal"],
            primary=row["primary"],
        )
        for row in rows(cr, UNIQUE_INDEXES, [oids])
    ]
