"""The journal's values as Odoo's users know them: fields instead of columns, names instead of numbers."""

import functools
import json

from .links import Links

SHOWN_TABLES = 40
SHOWN_ROWS = 20  # of each table
BOOKKEEPING = {"create_uid", "create_date", "write_uid", "write_date"}
HIDDEN_FIELDS = {"id", "parent_path", *BOOKKEEPING}
ACTS = ("changed", "created", "deleted")  # in the order in which they are shown
LONGEST = 120


class Changes:
    """Net changes of operations, reduced to what the user may read."""

    def __init__(self, env, listed):
        self.env = env
        self._listed = listed
        self._models = {model._table: model for model in env.values() if not model._abstract and not model._transient}
        self._visible = {}

    def values(self, side):
        """Return the values ``before`` or ``after``: model -> number -> field -> value."""
        found = {}
        for change in self._listed:
            model = self._models.get(change["table"])
            if model is None or change[side] is None or not self.may_see(model, change):
                continue
            values = {
                name: _parsed(field, self.own(field, change[side][name]))
                for name, field in self._fields(model)
                if name in change[side]
            }
            found.setdefault(model._name, {})[change["key"]["id"]] = values
        return found

    def described(self):
        """Return a group for each model, with its records: what was done to them, and field, before and after."""
        groups = {}
        for change in sorted(self._listed, key=lambda one: ACTS.index(one["act"])):
            model = self._models.get(change["table"])
            group = groups.setdefault(change["table"], self._group(model, change))
            if len(group["rows"]) < SHOWN_ROWS:
                group["rows"].append(self._described(model, change))
                group["more"] -= 1
        ordered = sorted(groups, key=lambda table: (table.startswith("mail_"), groups[table]["label"]))
        return [groups[table] for table in ordered]

    def _group(self, model, change):
        name = None if model is None else model._name
        label = self.label(change["table"])
        return {"table": change["table"], "model": name, "label": label, "rows": [], "more": change["rows"]}

    def left_out(self):
        """Return of how many records `values` has nothing, as there are too many: model -> number."""
        found = {}
        for change in self._listed:
            model = self._models.get(change["table"])
            if model is not None:
                found[model._name] = found.get(model._name, change["rows"]) - 1
        return {name: number for name, number in found.items() if number}

    def model_of(self, table):
        """Return the model of a table, or None."""
        return self._models.get(table)

    def name_of(self, model, key):
        """Return the name of a record, or of a row that is none."""
        if model is None or "id" not in (key or {}):
            return _key_words(key or {})
        return self._name(model, {"key": key, "before": None, "after": None})

    def link_name(self, table, key):
        """Return what a row links, both ends by their names; those of tables that link nothing by their keys."""
        ends = self._links.ends(table)
        if not ends or not ends.keys() <= key.keys():
            return _key_words(key)
        return " / ".join(self._record_name(model._name, int(key[column])) for column, model in ends.items())

    def label(self, table):
        """Return the name of a table for people."""
        model = self._models.get(table)
        return self._links.label(table) if model is None else model._description

    def _described(self, model, change):
        described = {"act": change["act"], "name": "", "fields": [], "hidden": False, "bookkeeping": False}
        if not self.may_see(model, change):
            return {**described, "hidden": True}
        if model is None:
            return {**described, "name": _key_words(change["key"]), **self._described_link(change)}
        described |= {"id": int(change["key"]["id"]), "name": self._name(model, change)}
        if change["act"] == "changed":
            described["fields"] = self._described_secrets(model, change["secret"] or ())
            described["bookkeeping"] = not change["secret"] and not change["before"].keys() - BOOKKEEPING
        for name, field in self._fields(model):
            before, after = (self.own(field, (change[side] or {}).get(name)) for side in ("before", "after"))
            if before != after and self._is_worth_showing(name, field, change):
                described["fields"].append(
                    {
                        "label": field.get_description(self.env, ["string"])["string"],
                        "before": self.in_words(field, before),
                        "after": self.in_words(field, after),
                    }
                )
        return described

    def _described_secrets(self, model, names):
        """Say which credentials were changed; their values are not in the journal."""
        known = [model._fields[name] for name in names if name in model._fields]
        strings = [
            one.get_description(self.env, ["string"])["string"]
            for one in known
            if self.env.su or model._has_field_access(one, "read")
        ]
        unknown = self.env._("not kept")
        return [{"label": string, "before": unknown, "after": unknown} for string in sorted(strings)]

    def _described_link(self, change):
        """Say what a row links: the one record by its name, the other one as a value of the field that people know."""
        known, key = self._links.field(change["table"]), change["key"]
        if known is None or not self._links.ends(change["table"]).keys() <= key.keys():
            return {"fields": _plain(change)}
        model, field = known
        other = self._record_name(field.comodel_name, int(key[field.column2]))
        before, after = (other if change[side] else "" for side in ("before", "after"))
        return {
            "name": self._record_name(model._name, int(key[field.column1])),
            "fields": [{"label": self._links.string(field), "before": before, "after": after}],
        }

    def _is_worth_showing(self, name, field, change):
        """Leave out bookkeeping, and of whole records what is empty or follows from the rest."""
        if name in HIDDEN_FIELDS:
            return False
        image = change["before"] or change["after"]
        value = _parsed(field, self.own(field, image.get(name)))
        there = any(value.values()) if field.company_dependent and isinstance(value, dict) else bool(value)
        return change["act"] == "changed" or (there and not field.compute)

    @functools.cached_property
    def _companies(self):
        return {str(company.id): company.sudo().name for company in self.env.user.company_ids}

    def own(self, field, text):
        """Return the text of a column, of one with a value for each company only those of the user's companies."""
        if text is None or not field.company_dependent or self.env.su:
            return text
        found = _parsed(field, text)
        if not isinstance(found, dict):
            return text
        seen = {number: value for number, value in found.items() if number in self._companies}
        return json.dumps(seen) if seen else None

    def in_words(self, field, text):
        """Return a value for people, from the text that PostgreSQL has for it."""
        value = _parsed(field, self.own(field, text))
        if not field.company_dependent or not isinstance(value, dict):
            return self._said(field, value)
        if len(value) == 1:
            return self._said(field, next(iter(value.values())))
        names = self._companies
        return "; ".join(f"{names.get(one, one)}: {self._said(field, own)}" for one, own in sorted(value.items()))

    def _said(self, field, value):
        if value is None:
            return ""
        if field.type == "many2one":
            return self._record_name(field.comodel_name, value)
        if field.type == "boolean":
            return self.env._("Yes") if value else self.env._("No")
        if field.type == "selection":
            return dict(field._description_selection(self.env)).get(value, str(value))
        if isinstance(value, dict) and field.translate:
            value = value.get(self.env.lang or "en_US") or value.get("en_US") or ""
        words = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        return words if len(words) <= LONGEST else f"{words[:LONGEST]}…"

    def _record_name(self, model, number):
        record = self.env[model].browse(number).exists()
        name = record.display_name if record and record.has_access("read") else ""
        return name or f"{record._description} {number}"

    def _name(self, model, change):
        number = int(change["key"]["id"])
        record = model.browse(number).exists()
        if record and record.display_name:
            return record.display_name
        image = change["before"] or change["after"] or {}
        label = image.get(model._rec_name or "name")
        field = model._fields.get(model._rec_name or "name")
        return self.in_words(field, label) if label and field is not None else f"{model._description} {number}"

    def _fields(self, model):
        return [
            (name, field)
            for name, field in sorted(model._fields.items())
            if field.store and field.column_type and (self.env.su or model._has_field_access(field, "read"))
        ]

    def readable_keys(self, model, keys):
        """Return those of ``keys`` that are of records which the user may read; of tables without a model, none."""
        numbers = {int(key["id"]) for key in keys if "id" in key}
        readable = self._readable(model, numbers) if model is not None else set()
        return [key for key in keys if "id" in key and int(key["id"]) in readable]

    def may_see(self, model, change):
        """Tell whether the user may read the record; of one that is gone, managers only may."""
        if model is None:
            return self._may_see_link(change["table"], change["key"])
        if model._name not in self._visible:
            keys = {
                int(one["key"]["id"]) for one in self._listed if one["table"] == model._table and "id" in one["key"]
            }
            self._visible[model._name] = self._readable(model, keys)
        return "id" in change["key"] and int(change["key"]["id"]) in self._visible[model._name]

    def named(self, rows):
        """Return rows (``table``, ``key`` and more) without the keys of those that the user may not see."""
        return [
            one if one["key"] and self.may_see(self.model_of(one["table"]), one) else {**one, "key": None}
            for one in rows
        ]

    @functools.cached_property
    def _links(self):
        return Links(self.env, self._models.values(), {one["table"] for one in self._listed})

    def _may_see_link(self, table, key):
        """Tell whether the user may read what a link is between; rows of any other table are for managers."""
        ends = self._links.ends(table)
        if self.env.su or not ends:
            return self.env.su or self.env.user.has_group("loomworks_ai.group_manager")
        if self._links.field(table) is None:
            return False
        numbers = {name: int(key.get(name) or 0) for name in ends}
        return all(numbers[name] in self._readable(model, {numbers[name]}) for name, model in ends.items())

    def _readable(self, model, numbers):
        if self.env.su:
            return numbers
        if not model.has_access("read"):
            return set()
        there = model.browse(numbers).exists()
        readable = set(there._filtered_access("read").ids)
        if self.env.user.has_group("loomworks_ai.group_manager"):
            readable |= numbers - set(there.ids)
        return readable


# How the text of a column becomes the value that a field of this type has in JSON.
READERS = {
    "boolean": lambda text: text in ("t", "true"),
    "integer": int,
    "many2one": int,
    "many2one_reference": int,
    "float": float,
    "monetary": float,
    "datetime": lambda text: text.split(".")[0],
    "json": json.loads,
    "properties": json.loads,
    "properties_definition": json.loads,
}


def _parsed(field, text):
    """Return a column's value from its text."""
    if text is None:
        return None
    reader = json.loads if field.translate or field.company_dependent else READERS.get(field.type, str)
    try:
        return reader(text)
    except ValueError:  # the field had another type then
        return text


def _plain(change):
    before, after = change["before"] or {}, change["after"] or {}
    names = sorted(before.keys() | after.keys())
    return [{"label": name, "before": before.get(name) or "", "after": after.get(name) or ""} for name in names]


def _key_words(key):
    return ", ".join(f"{name} {value}" for name, value in sorted(key.items()))
