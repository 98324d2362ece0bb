"""What follows from an undo: it has changed rows by SQL, past the ORM."""


class FollowUp:
    """Caches, computed fields, and models that act on their rows."""

    def __init__(self, env):
        self.env = env
        self._models = {}
        for model in env.values():
            if not model._abstract and not model._transient:
                self._models.setdefault(model._table, []).append(model.sudo().with_context(active_test=False))

    def computed_columns(self):
        """Return table -> stored columns that Odoo works out from others and that nobody may type in."""
        found = {}
        for table, models in self._models.items():
            names = {
                name
                for model in models
                for name, field in model._fields.items()
                if field.compute and field.store and field.readonly and field.column_type
            }
            if names:
                found[table] = names
        return found

    def run(self, touched, recompute):
        """Follow up on ``touched`` (table -> act -> keys) and compute anew (table -> column -> keys)."""
        self.env.invalidate_all(flush=False)
        self.env.registry.clear_all_caches()  # signalled to the other workers at the end of the request
        for table, columns in recompute.items():
            for name, keys in columns.items():
                self._compute_anew(table, name, keys)
        self.env.flush_all()
        for table, acts in touched.items():
            self._tell(table, [key for keys in acts.values() for key in keys])

    def _compute_anew(self, table, name, keys):
        for model in self._models.get(table, []):
            field = model._fields.get(name)
            if field is not None and field.compute:
                self.env.add_to_compute(field, _records(model, keys))

    def _tell(self, table, keys):
        for model in self._models.get(table, []):
            if hasattr(model, "_after_undo"):
                _records(model, keys)._after_undo()


def _records(model, keys):
    return model.browse([int(key["id"]) for key in keys if "id" in key]).exists()
