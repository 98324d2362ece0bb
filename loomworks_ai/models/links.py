"""Rows that only link two records to each other, as the fields have them that people know."""

import functools


class Links:
    """The tables of many2many fields."""

    def __init__(self, env, models, preferred=()):
        """Look into the fields of ``models``; of two fields of one table, the one of a ``preferred`` table is told."""
        self.env = env
        self._models = sorted(models, key=lambda model: (model._table not in preferred, model._name))

    @functools.cached_property
    def _fields(self):
        """Table -> the fields that it is of, each with its model."""
        found = {}
        for model in self._models:
            for field in model._fields.values():
                if field.type == "many2many" and field.store and field.relation:
                    found.setdefault(field.relation, []).append((model, field))
        return found

    def ends(self, table):
        """Return column -> model of what it refers to; nothing of a table that no field is of."""
        ends = {}
        for model, field in self._fields.get(table, ()):
            ends.update({field.column1: model, field.column2: self.env[field.comodel_name]})
        return ends

    def field(self, table):
        """Return the model and the field by which the user knows this table, or None."""
        for model, field in self._fields.get(table, ()):
            if self.env.su or model._has_field_access(field, "read"):
                return model, field
        return None

    def label(self, table):
        """Return what people call the links of a table."""
        known = self.field(table)
        if known is None:
            return self.env._("Table “%s”", table)
        model, field = known
        return f"{model._description}: {self.string(field)}"

    def string(self, field):
        """Return what people call a field."""
        return field.get_description(self.env, ["string"])["string"]
