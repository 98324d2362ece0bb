"""Conflicts in plain words."""


class ConflictWords:
    """One conflict of an undo, told to the user who asked: without the values of records that they may not see."""

    def __init__(self, env, changes, conflict):
        self.env = env
        self.conflict = conflict
        self.model = changes.model_of(conflict["table"])
        self.visible = bool(conflict["key"]) and changes.may_see(self.model, conflict)
        self.cause = self._cause()
        self._changes = changes
        self._detail = conflict["detail"] or {}

    def _cause(self):
        """Return the later operation that has caused it, if the journal knows one and the user may read it."""
        logs = self.env["loomworks.ai.operation.log"]
        number = self.conflict["operation"] if self.visible else None
        return logs.browse(number).exists()._filtered_access("read") if number else logs

    def columns(self):
        """Return the columns in question that the user may read."""
        return [name for name in self.conflict["columns"] or [] if self._may_read(name)]

    def detail(self):
        """Return what the journal says of it, without what the user may not see; None if that is the whole record."""
        if not self.visible or self.conflict["detail"] is None:
            return None
        detail = dict(self._detail)
        for side in {"left", "now"} & detail.keys():
            detail[side] = {name: self._own(name, text) for name, text in detail[side].items() if self._may_read(name)}
        if "keys" in detail:
            detail["keys"] = self._changes.readable_keys(self._changes.model_of(detail["table"]), detail["keys"])
        if "by" in detail:
            detail["by"] = next(iter(self._changes.readable_keys(self.model, [detail["by"]])), None)
        return detail

    def _own(self, column, text):
        field = self.model._fields.get(column) if self.model is not None else None
        return text if field is None else self._changes.own(field, text)

    def _may_read(self, column):
        field = self.model._fields.get(column) if self.model is not None else None
        return self.env.su or field is None or self.model._has_field_access(field, "read")

    def message(self):
        """Return what stands in the way of which record."""
        if not self.conflict["table"]:  # the database has refused something without saying where
            return self.env._("The database does not take it: %s", self._detail.get("reason"))
        if not self.conflict["key"]:  # nor which row
            name = self._changes.label(self.conflict["table"])
        elif self.visible and self.model is None:
            named = self._changes.link_name(self.conflict["table"], self.conflict["key"])
            name = f"{self._changes.label(self.conflict['table'])} ({named})"
        elif self.visible:
            name = self._changes.name_of(self.model, self.conflict["key"])
        else:
            name = self.env._("A record that you may not see")
        return f"{name}: {self._reason()}{self._blame()}"

    def _blame(self):
        if not self.cause:
            return ""
        who = self.cause.sudo().user_id.display_name
        return " " + self.env._("Changed since by %(who)s in operation %(number)s.", who=who, number=self.cause.id)

    def _reason(self):
        special = getattr(self, f"_{self.conflict['type']}", None)
        if special:
            return special()
        sentences = {
            "between": self.env._("somebody has changed it between two of the operations."),
            "deleted": self.env._("somebody has deleted it since."),
            "key_taken": self.env._("it is there now, in place of what was deleted."),
            "secret": self.env._("a password or key was changed, and those are not written down."),
            "parent": self.env._("the “%s” that it refers to is gone.", self._changes.label(self._detail.get("table"))),
            "protected": self.env._("it must not be changed: %s.", self._detail.get("reason")),
            "schema": self.env._("the database has been changed: %s.", self._detail.get("reason")),
        }
        refused = self.env._("the database does not take it: %s", self._detail.get("reason"))
        return sentences.get(self.conflict["type"], refused)

    def _changed(self):
        told = self._values() if self.visible and self.model is not None and self._detail else []
        said = self.env._("somebody has changed it since: %s.", "; ".join(told) or self._labels(self.columns()))
        if "ours" in self.conflict["choices"]:
            return said
        return self.env._("%s Its next number has moved on since, and does not go back.", said)

    def _labels(self, columns):
        """Return what people call columns, as far as they are fields that the user may read."""
        fields = [self.model._fields.get(name) if self.model is not None else None for name in columns]
        known = [field for field in fields if field is not None and self._may_read(field.name)]
        labels = [field.get_description(self.env, ["string"])["string"] for field in known]
        return ", ".join(f"“{label}”" for label in labels)

    def _values(self):
        """Say of each field what the operation had left and what it is now."""
        left, now = self._detail.get("left") or {}, self._detail.get("now") or {}
        fields = [(column, self.model._fields.get(column)) for column in self.conflict["columns"] or []]
        return [
            self.env._(
                "“%(field)s” was left %(left)s and is %(now)s now",
                field=field.get_description(self.env, ["string"])["string"],
                left=self._quoted(field, left.get(column)),
                now=self._quoted(field, now.get(column)),
            )
            for column, field in fields
            if field is not None and self._may_read(column)
        ]

    def _quoted(self, field, text):
        words = self._changes.in_words(field, text)
        return f"“{words}”" if words else self.env._("empty")

    def _depended(self):
        fates = {
            "c": self.env._("they would be deleted with it"),
            "n": self.env._("they would lose the reference"),
            "d": self.env._("they would lose the reference"),
        }
        return self.env._(
            "%(count)s records of “%(label)s” came later and refer to it: %(fate)s.",
            count=self._detail.get("rows"),
            label=self._changes.label(self._detail.get("table")),
            fate=fates.get(self._detail.get("on_delete"), self.env._("it cannot go while they are there")),
        )

    def _unique(self):
        name = self._detail.get("constraint") or ""
        labels = self._labels(self._detail.get("columns") or self.columns())
        if labels:
            return self.env._("another record has its value of %s now, which must be unique.", labels)
        rule = self.model._table_objects.get(name) if self.model is not None else None
        message = rule.get_error_message(self.model) if rule is not None else ""
        return self.env._("another record has what only one may have: %s", message or name)
