"""The tables that one undo is about, as they are now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from . import catalog
from .catalog import ForeignKey, Table, UniqueIndex
from .references import Reference
from .sqltext import Cursor, Part, rows
from .structure import Structure

RELATIONS = """
    SELECT r.id, r.schema_name, r.table_name, r.shape, n.acts, n.restored, n.inserted, n.gapped, n.credentials
    FROM (
        SELECT relation, array_agg(act::text) AS acts, max(names) FILTER (WHERE act = 'U') AS restored,
               max(names) FILTER (WHERE act = 'I') AS inserted, bool_or(gapped) AS gapped,
               bool_or(credentials) FILTER (WHERE act <> 'D') IS TRUE AS credentials
        FROM (
            SELECT relation, act, {h}.akeys(loomworks.merge(target)) AS names, bool_or(gap IS NOT NULL) AS gapped,
                   bool_or(secret IS NOT NULL) AS credentials
            FROM loomworks_net GROUP BY relation, act
        ) named GROUP BY relation
    ) n JOIN loomworks.relation r ON r.id = n.relation ORDER BY r.id
"""
# What the tables looked like when the operations changed them.
SHAPES = """
    SELECT s.relation, jsonb_agg(s.columns) AS shapes, jsonb_agg(s.key) AS keys
    FROM loomworks.shape s WHERE s.id = ANY(%s) GROUP BY s.relation
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
    gapped: bool  # whether somebody else changed rows of it between two of the operations
    credentials: bool  # whether the operations changed some that the undo would have to restore

    @property
    def keyed(self) -> bool:
        """Whether its rows can be told apart."""
        return bool(self.table and self.table.key)


@dataclass(frozen=True)
class Scope:
    """What one round of an undo is about."""

    h: Part
    relations: tuple[Relation, ...]
    structure: Structure
    foreign_keys: tuple[ForeignKey, ...]  # but for those in `minded_keys`
    unique_indexes: tuple[UniqueIndex, ...]
    references: tuple[Reference, ...]  # those that are no foreign keys

    def present(self, act: str = "") -> list[Relation]:
        """Return the relations that still exist, with keys, where the undo does ``act``."""
        return [one for one in self.relations if one.keyed and (not act or act in one.acts)]

    @cached_property
    def going(self) -> tuple[tuple[int, str], ...]:
        """Relation and model of the rows that the undo deletes, where they have a number."""
        return tuple(
            (relation.id, model)
            for relation in self.present("D")
            if relation.table.key == ("id",)
            for model in self.structure.models.get(relation.label, [])
        )

    def minded_keys(self) -> tuple[ForeignKey, ...]:
        """Return the keys by which the server itself notices what depends on rows that the undo deletes."""
        deleted = [one.table.oid for one in self.present("D")]
        keys = self.structure.foreign_keys(referenced=deleted, minded=True)
        self.structure.load(key.table for key in keys)
        return keys

    def of(self, oid: int) -> Relation | None:
        """Return the relation of a table that the undo touches."""
        return next((one for one in self.relations if one.table and one.table.oid == oid), None)


def read(cr: Cursor, h: Part, shapes: Iterable[int], structure: Structure) -> Scope:
    """Read the scope of what is in ``loomworks_net``.

    :param shapes: numbers of what the tables looked like when the operations changed them
    """
    past = {row["relation"]: row for row in rows(cr, SHAPES, [sorted(shapes)])}
    found = rows(cr, RELATIONS, h=h)
    names = [(row["schema_name"], row["table_name"]) for row in found]
    structure.look_into(structure.oids[one.table] for one in structure.references)
    structure.load(
        [
            *(structure.by_name[name] for name in names if name in structure.by_name),
            *(oid for oid in (structure.oids[one.table] for one in structure.references) if structure.is_filled(oid)),
        ]
    )
    relations = tuple(_relation(row, structure, past.get(row["id"])) for row in found)
    present = [one for one in relations if one.table]
    foreign_keys = structure.foreign_keys(
        referring=(one.table.oid for one in present if one.acts & {"U", "I"}),
        referenced=(one.table.oid for one in present if "D" in one.acts),
    )
    structure.load(_parents(relations, foreign_keys))
    return Scope(
        h=h,
        relations=relations,
        structure=structure,
        foreign_keys=foreign_keys,
        unique_indexes=structure.unique_indexes(one.table.oid for one in present),
        references=structure.references,
    )


def _parents(relations: tuple[Relation, ...], foreign_keys: tuple[ForeignKey, ...]) -> Iterator[int]:
    """Return the tables that values refer to which come back: better read together than one by one."""
    written = {one.table.oid: {*one.inserted, *one.restored} for one in relations if one.table}
    return (key.referenced for key in foreign_keys if written.get(key.table, set()) & set(key.columns))


def _relation(row: dict, structure: Structure, past: dict | None) -> Relation:
    oid = structure.by_name.get((row["schema_name"], row["table_name"]))
    table = structure.table(oid) if oid else None
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
        label=catalog.label(row["schema_name"], row["table_name"]),
        table=table,
        acts=frozenset(row["acts"]),
        restored=tuple(sorted(name for name in row["restored"] or [] if name in now)),
        inserted=tuple(sorted(name for name in row["inserted"] or [] if name in now)),
        dropped=tuple(sorted(name for name in then if name not in now)),
        retyped=tuple(sorted(name for name, kinds in then.items() if name in now and not _same(kinds, now[name]))),
        added=tuple(sorted(now.keys() - then.keys() - set(table.hidden))) if table and then else (),
        gapped=row["gapped"],
        credentials=row["credentials"],
    )


def _same(kinds: set[str], now: str) -> bool:
    """Whether values of a column read the same under all these types."""
    return all(kind == now or (kind.startswith(TEXTS) and now.startswith(TEXTS)) for kind in kinds)
