"""What follows from an undo: it has changed rows by SQL, past the ORM."""

from collections.abc import Mapping

from odoo.tools import SQL, split_every

BATCH = 1_000  # records


class ComputedColumns(Mapping):
    """Table -> stored columns that Odoo works out from others and that nobody may type in, looked for when asked."""

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
                if field.compute and field.store and field.readonly and field.column_type
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
        """
        self.env.invalidate_all(flush=False)
        self.env.registry.clear_all_caches()  # signalled to the other workers at the end of the request
        for table, acts in touched.items():
            self._mark_later(table, acts, since)
        for table, columns in recompute.items():
            for name, keys in columns.items():
                self._compute_anew(table, name, keys)
        self.env.flush_all()
        for table, acts in touched.items():
            self._tell(table, [number for act in acts.values() for number in act["ids"]])

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
