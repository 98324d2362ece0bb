"""What follows from an undo: it has changed rows by SQL, past the ORM."""

from collections.abc import Mapping

from odoo.exceptions import UserError
from odoo.tools import SQL, split_every

BATCH = 1_000  # records
PATH = "parent_path"
# Records that are their own ancestors, of some that have been put somewhere else.
CYCLES = """
    WITH RECURSIVE up AS (
        SELECT id AS start, %(parent)s AS at FROM %(table)s WHERE id = ANY(%(ids)s) AND %(parent)s IS NOT NULL
        UNION SELECT up.start, t.%(parent)s FROM up JOIN %(table)s t ON t.id = up.at WHERE t.%(parent)s IS NOT NULL
    )
    SELECT start FROM up WHERE start = at LIMIT 1
"""
# The paths of some records and of all below them, from the topmost of those down: whoever is above has the right one.
PATHS = """
    WITH RECURSIVE up AS (
        SELECT id AS start, %(parent)s AS at FROM %(table)s WHERE id = ANY(%(ids)s)
        UNION SELECT up.start, t.%(parent)s FROM up JOIN %(table)s t ON t.id = up.at
    ), tree AS (
        SELECT t.id, concat(above.parent_path, t.id, '/') AS path
        FROM %(table)s t LEFT JOIN %(table)s above ON above.id = t.%(parent)s
        WHERE t.id = ANY(%(ids)s) AND NOT EXISTS (SELECT FROM up WHERE up.start = t.id AND up.at = ANY(%(ids)s))
        UNION ALL
        SELECT t.id, concat(tree.path, t.id, '/') FROM %(table)s t JOIN tree ON t.%(parent)s = tree.id
    )
    UPDATE %(table)s t SET parent_path = tree.path FROM tree
    WHERE t.id = tree.id AND t.parent_path IS DISTINCT FROM tree.path
"""


class ComputedColumns(Mapping):
    """Table -> stored columns that Odoo works out from others and that nobody may type in, looked for when asked.

    The path of a record in its tree is one of them, though Odoo has no function for it.
    """

    def __init__(self, env, models):
        """Look into ``models``: table -> names of its models."""
        self._env, self._models, self._found = env, models, {}

    def __getitem__(self, table):
        """Return the columns of a table; none of one that no model is of."""
        if table not in self._found:
            self._found[table] = {
                name
                for model in self._models.get(table, ())
                for name, field in self._env[model]._fields.items()
                if field.store and field.column_type and (name == PATH or (field.compute and field.readonly))
            }
        return self._found[table]

    def __iter__(self):
        """Yield all tables of models."""
        return iter(self._models)

    def __len__(self):
        """Return how many tables of models there are."""
        return len(self._models)


class FollowUp:
    """Caches, computed fields, and models that act on their rows."""

    def __init__(self, env):
        # What is computed anew is as if nothing had happened: nobody is told that it has changed.
        self.env = env(context={**env.context, "tracking_disable": True})
        self._names = {}
        for name, model in env.registry.items():
            if not model._abstract and not model._transient:
                self._names.setdefault(model._table, []).append(name)
        self.computed_columns = ComputedColumns(self.env, self._names)

    @property
    def tables(self):
        """The tables of models: nothing follows from what an undo has done to others."""
        return list(self._names)

    def _models(self, table):
        return [self.env[name].sudo().with_context(active_test=False) for name in self._names.get(table, ())]

    def run(self, touched, recompute, since):
        """Follow up on an undo.

        :param touched: table -> act -> ``ids`` and ``columns``
        :param recompute: table -> column -> keys of what is to be computed anew
        :param since: when what was undone had been done: what follows from it in records written later, is, too
        :raises UserError: when a record would be below itself
        """
        self.env.registry.clear_all_caches()  # signalled to the other workers at the end of the request
        self.settle(touched, recompute, since)
        for table, acts in touched.items():
            self._tell(table, [number for act in acts.values() for number in act["ids"]])

    def settle(self, touched, recompute, since):
        """Bring to the rows what follows from them: trees, and what is computed. See `run`."""
        self.env.invalidate_all(flush=False)
        for table in {*touched, *recompute}:
            self._rebuild_trees(table, touched.get(table, {}), recompute.get(table, {}))
        for table, acts in touched.items():
            self._mark_later(table, acts, since)
        for table, columns in recompute.items():
            for name, keys in columns.items():
                self._compute_anew(table, name, keys)
        self.env.flush_all()

    def _rebuild_trees(self, table, acts, columns):
        """Have records that were put elsewhere, and whatever is below them now, say where that is.

        What others have put below them since, or above them, is in no entry of what was undone.
        """
        for model in self._models(table)[:1]:
            parent = model._fields.get(model._parent_name)
            if parent is None or not parent.store or parent.comodel_name != model._name:
                continue
            ids = _moved(acts, {parent.name, PATH}) | {int(key["id"]) for key in columns.get(PATH, ())}
            if not ids:
                continue
            names = {"table": SQL.identifier(table), "parent": SQL.identifier(parent.name), "ids": list(ids)}
            if found := self.env.execute_query(SQL(CYCLES, **names)):
                raise UserError(
                    self.env._(
                        "%(model)s %(number)s would be below itself: what was above it has been put below it since.",
                        model=model._description,
                        number=found[0][0],
                    )
                )
            if model._parent_store:
                self.env.cr.execute(SQL(PATHS, **names))

    def _mark_later(self, table, acts, since):
        """Have stored fields that depend on what came back computed anew, in records that were written since.

        In all others they are as they were: the undo has restored them, or the operation had not changed them.
        """
        for model in self._models(table):
            for act in ("restored", "inserted"):
                touched = acts.get(act, {"ids": [], "columns": []})
                names = [name for name in touched["columns"] if name in model._fields]
                for ids in split_every(BATCH, touched["ids"]):
                    # Marked at its end only: it searches, which would compute what is marked already.
                    model.browse(ids).exists().modified(names, before=True)
                    self._keep_later(since)

    def _keep_later(self, since):
        """Leave only records that were written since among those that wait to be computed."""
        for field in list(self.env.fields_to_compute()):
            records = self.env.records_to_compute(field)
            later = records.browse()
            if field.name in self.computed_columns[records._table] and records._log_access:
                table, ids = SQL.identifier(records._table), list(records.ids)
                query = SQL("SELECT id FROM %s WHERE id = ANY(%s) AND write_date > %s", table, ids, since)
                later = records.browse(number for (number,) in self.env.execute_query(query))
            self.env.remove_to_compute(field, records - later)

    def _compute_anew(self, table, name, keys):
        for model in self._models(table):
            field = model._fields.get(name)
            if field is not None and field.compute:
                self.env.add_to_compute(field, model.browse(int(key["id"]) for key in keys).exists())

    def _tell(self, table, ids):
        for model in self._models(table):
            if hasattr(model, "_after_undo"):
                model.browse(ids).exists()._after_undo()


def _moved(acts, names):
    """Return the numbers of the records of a table that an undo has brought back, or given another place in a tree."""
    restored = acts.get("restored", {"ids": (), "columns": ()})
    ids = restored["ids"] if names.intersection(restored["columns"]) else ()
    return {*ids, *acts.get("inserted", {"ids": ()})["ids"]}
