"""What an undo asks of the database's structure: each thing read when it is needed, and once in all its rounds.

Most of what a database of Odoo has is never asked for: an undo in a dozen tables looks at some sixty of five hundred.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from . import catalog, references
from .catalog import ForeignKey, Table, UniqueIndex
from .references import DEFINITION, Reference
from .sqltext import Cursor, rows

NAMES = """
    SELECT c.oid, n.nspname AS schema_name, c.relname AS table_name, r.id AS number
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN loomworks.relation r ON r.schema_name = n.nspname AND r.table_name = c.relname
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
      AND n.nspname NOT IN ('information_schema', 'loomworks') AND n.nspname !~ '^pg_'
"""


class Structure:
    """The structure of one database, as of its first reading in an undo."""

    def __init__(self, cr: Cursor) -> None:
        """Read through ``cr``, and keep what was read."""
        self._cr = cr
        self._tables: dict[int, Table | None] = {}
        self._credentials: dict[int, Table | None] = {}
        self._filled: dict[int, bool] = {}
        self._foreign_keys: dict[tuple[frozenset[int], frozenset[int], bool], tuple[ForeignKey, ...]] = {}
        self._unique_indexes: dict[int, list[UniqueIndex]] = {}
        self.numbers: dict[int, int] = {}  # oid -> relation number
        self.by_name: dict[tuple[str, str], int] = {}  # schema and name -> oid
        self.oids: dict[str, int] = {}  # by label
        for row in rows(cr, NAMES):
            self.by_name[row["schema_name"], row["table_name"]] = row["oid"]
            self.oids[catalog.label(row["schema_name"], row["table_name"])] = row["oid"]
            if row["number"]:
                self.numbers[row["oid"]] = row["number"]

    def load(self, oids: Iterable[int]) -> None:
        """Read those tables together that were not read yet."""
        wanted = sorted(set(oids) - self._tables.keys())
        if wanted:
            found = {table.oid: table for table in catalog.tables(self._cr, wanted)}
            self._tables.update({oid: found.get(oid) for oid in wanted})

    def table(self, oid: int) -> Table | None:
        """Return a table; None where it is not captured."""
        self.load([oid])
        return self._tables[oid]

    def credentials(self, oid: int) -> Table | None:
        """Return a table of nothing but credentials, which is not captured; None for any other."""
        if oid not in self._credentials:
            found = catalog.tables_of_credentials(self._cr, [oid])
            self._credentials[oid] = found[0] if found else None
        return self._credentials[oid]

    def labelled(self, label: str) -> Table | None:
        """Return a table by its name for people; None where it is not captured or not there."""
        return self.table(self.oids[label]) if label in self.oids else None

    def is_filled(self, oid: int) -> bool:
        """Tell whether a table may have rows; most of Odoo's have none."""
        self.look_into([oid])
        return self._filled[oid]

    def look_into(self, oids: Iterable[int]) -> None:
        """Find out together which of these tables may have rows."""
        wanted = sorted(set(oids) - self._filled.keys())
        if wanted:
            filled = catalog.filled(self._cr, wanted)
            self._filled.update({oid: oid in filled for oid in wanted})

    def foreign_keys(
        self, *, referring: Iterable[int] = (), referenced: Iterable[int] = (), minded: bool = False
    ) -> tuple[ForeignKey, ...]:
        """Return the foreign keys of the tables ``referring``, and of tables with rows those to ``referenced``."""
        asked = frozenset(referring), frozenset(referenced), minded
        if asked not in self._foreign_keys:
            found = catalog.foreign_keys(self._cr, sorted(asked[0]), sorted(asked[1]), minded=minded)
            self._foreign_keys[asked] = tuple(found)
        return self._foreign_keys[asked]

    def unique_indexes(self, oids: Iterable[int]) -> tuple[UniqueIndex, ...]:
        """Return the unique indexes of tables."""
        wanted = sorted(set(oids))
        missing = [oid for oid in wanted if oid not in self._unique_indexes]
        for index in catalog.unique_indexes(self._cr, missing) if missing else []:
            self._unique_indexes.setdefault(index.table, []).append(index)
        return tuple(index for oid in wanted for index in self._unique_indexes.setdefault(oid, []))

    @cached_property
    def _known_to_odoo(self) -> list[Reference]:
        return [one for one in references.read(self._cr) if one.table in self.oids]

    @cached_property
    def references(self) -> tuple[Reference, ...]:
        """Odoo's references that are no foreign keys, of tables that are there."""
        return tuple(one for one in self._known_to_odoo if one.kind != DEFINITION)

    @cached_property
    def properties(self) -> list[tuple[str, str]]:
        """Name and model of every property that refers to records."""
        held = [one for one in self._known_to_odoo if one.kind == DEFINITION]
        self.look_into(self.oids[one.table] for one in held)
        return references.properties(self._cr, [one for one in held if self.is_filled(self.oids[one.table])])

    @cached_property
    def models(self) -> dict[str, list[str]]:
        """Table -> the models whose rows it holds."""
        return references.models(self._cr)
