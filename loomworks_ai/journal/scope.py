"""The tables that one undo is about, as they are now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from . import catalog, references
from .catalog import ForeignKey, Table, UniqueIndex
from .references import Reference
from .sqltext import Cursor, Part, rows

RELATIONS = """
    SELECT r.id, r.schema_name, r.table_name, r.shape, n.acts, n.restored, n.inserted
    FROM (
        SELECT relation, array_agg(act::text) AS acts, max(names) FILTER (WHERE act = 'U') AS restored,
               max(names) FILTER (WHERE act = 'I') AS inserted
        FROM (
            SELECT relation, act, {h}.akeys(loomworks.merge(target)) AS names FROM loomworks_net GROUP BY relation, act
        ) named GROUP BY relation
    ) n JOIN loomworks.relation r ON r.id = n.relation ORDER BY r.id
"""
# What the tables looked like when the operations changed them.
SHAPES = """
    SELECT s.relation, jsonb_agg(s.columns) AS shapes, jsonb_agg(s.key) AS keys
    FROM loomworks.shape s
    WHERE s.id IN (SELECT e.shape FROM loomworks.entry e WHERE e.operation = ANY(%s)) GROUP BY s.relation
"""
TEXTS = ("text", "character varying")


@dataclass(frozen=True)
class Relation:
    """A table of the undo: what it does there (``acts``), and to which columns.

    ``table`` is None when it is gone, or its rows are told apart by another key now.
    """

    id: int
    shape: int
    label: str
    table: Table | None
    acts: frozenset[str]
    restored: tuple[str, ...]
    inserted: tuple[str, ...]
    dropped: tuple[str, ...]
    retyped: tuple[str, ...]
    added: tuple[str, ...]  # columns that the operations did not know

    @property
    def keyed(self) -> bool:
        """Whether its rows can be told apart."""
        return bool(self.table and self.table.key)


@dataclass(frozen=True)
class Scope:
    """Everything about the database's structure that an undo asks for, read once."""

    h: Part
    relations: tuple[Relation, ...]
    by_oid: dict[int, Table]
    numbers: dict[int, int]  # oid -> relation number of every captured table
    foreign_keys: tuple[ForeignKey, ...]
    unique_indexes: tuple[UniqueIndex, ...]
    references: tuple[Reference, ...]  # those that are no foreign keys
    filled: frozenset[int]  # tables that may have rows; most of Odoo's have none
    models: dict[str, list[str]]  # table -> the models whose rows it holds

    def present(self, act: str = "") -> list[Relation]:
        """Return the relations that still exist, with keys, where the undo does ``act``."""
        return [one for one in self.relations if one.keyed and (not act or act in one.acts)]

    def labelled(self, label: str) -> Table:
        """Return a captured table by its name for people."""
        return next(table for table in self.by_oid.values() if table.label == label)

    def of(self, oid: int) -> Relation | None:
        """Return the relation of a table that the undo touches."""
        return next((one for one in self.relations if one.table and one.table.oid == oid), None)


def read(cr: Cursor, h: Part, operations: Sequence[int]) -> Scope:
    """Read the scope of what is in ``loomworks_net``, the net change of ``operations``."""
    tables = catalog.tables(cr)
    by_name = {(table.schema, table.name): table for table in tables}
    listed = rows(cr, "SELECT id, schema_name, table_name FROM loomworks.relation")
    numbers = {
        by_name[row["schema_name"], row["table_name"]].oid: row["id"]
        for row in listed
        if (row["schema_name"], row["table_name"]) in by_name
    }
    shapes = {row["relation"]: row for row in rows(cr, SHAPES, [list(operations)])}
    relations = tuple(
        _relation(row, by_name.get((row["schema_name"], row["table_name"])), shapes.get(row["id"]))
        for row in rows(cr, RELATIONS, h=h)
    )
    by_label = {table.label for table in tables}
    oids = [one.table.oid for one in relations if one.table]
    return Scope(
        h=h,
        relations=relations,
        by_oid={table.oid: table for table in tables},
        numbers=numbers,
        foreign_keys=tuple(catalog.foreign_keys(cr, oids)),
        unique_indexes=tuple(catalog.unique_indexes(cr, oids)),
        references=tuple(one for one in references.read(cr) if one.table in by_label),
        filled=catalog.filled(cr, list(by_name.values())),
        models=references.models(cr),
    )


def _relation(row: dict, table: Table | None, past: dict | None) -> Relation:
    if table and past and any(key != list(table.key) for key in past["keys"]):
        table = None
    now = table.columns if table else {}
    then: dict[str, set[str]] = {}
    for shape in past["shapes"] if past else []:
        for name, kind in shape.items():
            then.setdefault(name, set()).add(kind)
    return Relation(
        id=row["id"],
        shape=row["shape"],
        label=row["table_name"] if row["schema_name"] == "public" else f"{row['schema_name']}.{row['table_name']}",
        table=table,
        acts=frozenset(row["acts"]),
        restored=tuple(sorted(name for name in row["restored"] or [] if name in now)),
        inserted=tuple(sorted(name for name in row["inserted"] or [] if name in now)),
        dropped=tuple(sorted(name for name in then if name not in now)),
        retyped=tuple(sorted(name for name, kinds in then.items() if name in now and not _same(kinds, now[name]))),
        added=tuple(sorted(now.keys() - then.keys() - set(table.hidden))) if table and then else (),
    )


def _same(kinds: set[str], now: str) -> bool:
    """Whether values of a column read the same under all these types."""
    return all(kind == now or (kind.startswith(TEXTS) and now.startswith(TEXTS)) for kind in kinds)
