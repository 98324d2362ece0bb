"""Preview, undo and redo of operations."""

from dataclasses import replace

from odoo import fields, models
from odoo.exceptions import AccessError, UserError
from odoo.tools import SQL

from .. import journal
from ..recording import Call, Operation, cursors
from . import requests
from .follow_up import FollowUp
from .plain_words import ConflictWords
from .values import SHOWN_ROWS, Changes

POLICIES = ("refuse", "skip", "theirs", "ours")


class OperationLog(models.Model):
    """Operations that can be taken back."""

    _inherit = "loomworks.ai.operation.log"

    def preview_undo(self, on_conflict="refuse", choices=None, records=None):
        """Return what `action_undo` would do, and change nothing.

        :return: as `action_undo`, with ``done`` false, and where it could be done with ``changes``: by ``table`` the
            ``model`` (None of links), its ``label``, ``rows``, and how many ``more`` there are. Each row has the
            record's ``id`` and ``name``, the ``act`` (changed, created, deleted), and ``fields``: ``label``, the value
            ``before``, which is the present one, and ``after``. ``hidden``: the user may not see it, and it has no
            name; ``bookkeeping``: nothing but who changed it last, and when
        """
        return self._take_back("preview", on_conflict, choices, records)

    def action_undo(self, on_conflict="refuse", choices=None, records=None):
        """Take these operations back, all of them or nothing.

        :param on_conflict: what to do where somebody has changed the same since: ``refuse`` everything, ``skip`` the
            record, leave ``theirs``, or (managers only) take back ``ours`` all the same
        :param choices: the same for single records: ``[{"model": ..., "id": ..., "choice": ...}]``
        :param records: only these: ``[{"model": ..., "id": ...}]``
        :return: ``done``; ``refused`` (why nothing was changed); ``operation`` (number of the undo); ``rows`` (table
            -> restored, inserted, deleted); ``conflicts`` (each with ``message``, ``choices``, ``choice``, and
            the later ``operation`` that caused it where one did);
            ``effects`` (what has left the system); ``skipped``, ``touched``, ``gone``, ``back``, ``unmeant``;
            rows that the user may not see have no ``key``
        """
        return self._take_back("undo", on_conflict, choices, records)

    def action_redo(self, on_conflict="refuse", choices=None, records=None):
        """Do again what was undone; parameters and result as for `action_undo`."""
        self._check_may_be_undone()
        undone = self._undoing()
        if not undone:
            raise UserError(self.env._("Nothing of this has been undone."))
        return undone._take_back("redo", on_conflict, choices, records)

    def action_open_undo(self):
        """Open the dialog that shows what an undo would do."""
        return self._open_dialog("undo")

    def action_open_redo(self):
        """Open the dialog that shows what a redo would do."""
        return self._open_dialog("redo")

    def _open_dialog(self, kind):
        wizard = self.env["loomworks.ai.undo"]._for_operations(self, kind)
        return {
            "type": "ir.actions.act_window",
            "name": self.env._("Redo") if kind == "redo" else self.env._("Undo"),
            "res_model": wizard._name,
            "res_id": wizard.id,
            "view_mode": "form",
            "target": "new",
        }

    def _undoing(self):
        """Return the operations by which these are undone now."""
        return self._standing(self._undone_by()).sudo(self.env.su)

    def _standing(self, undoing):
        """Return those undos that have not been undone themselves, or in part only."""
        return undoing.filtered(lambda log: log.state in ("done", "partially_rolled_back"))

    def _undone_by(self):
        """Return the operations that undid these, whatever has become of those since."""
        return self.sudo().browse(dict.fromkeys(undoing for _undone, undoing in self._pairs_of_undone()))

    def _pairs_of_undone(self):
        """Return (one of these, an operation that undid it), in the order of the latter."""
        self.flush_model(["undoes"])
        query = SQL(
            """
            SELECT undone.id, log.id FROM loomworks_ai_operation_log log
            CROSS JOIN LATERAL (SELECT value::integer AS id FROM jsonb_array_elements_text(log.undoes)) undone
            WHERE log.undoes @> ANY(%s::jsonb[]) AND undone.id = ANY(%s) ORDER BY log.id
            """,
            [f"[{number}]" for number in self.ids],
            list(self.ids),
        )
        return self.env.execute_query(query)

    # --- one run ---

    def _take_back(self, kind, on_conflict, choices, records):
        self._check_may_be_undone()
        self._check_choices(on_conflict, choices)
        with self.env.cr._cnx.cursor() as cr:
            journal.require_writing(cr)
        self.env.flush_all()
        self._lock(kind)
        standing = self._still_there() or self
        effects = standing._effects()
        refusal = standing._refusal(chosen=self)
        if refusal:
            return {**standing._refused(refusal), "effects": effects}
        return standing._take_back_standing(kind, effects, on_conflict, choices, records)

    def _take_back_standing(self, kind, effects, on_conflict, choices, records):
        closed = self._check_still_allowed(records)
        follow_up = FollowUp(self.env)
        arguments = {
            "on_conflict": on_conflict,
            "choices": {self._row(one): one["choice"] for one in choices or []},
            "only": [self._row(one) for one in records] if records is not None else None,
            "undone_by": self._undone_in_parts_by().ids,
            "computed": follow_up.computed_columns,
        }
        if kind == "preview":
            return self._told(self._look(arguments, follow_up, closed), effects)
        return self._told(self._run(kind, arguments, follow_up, closed, partial=records is not None), effects)

    def _look(self, arguments, follow_up, closed):
        """Preview it, with what follows from it; the records are as they would be only while that lasts."""
        listed = []

        def meanwhile(report):
            touched = journal.touched(cr, follow_up.tables)
            self._check_closed(closed)
            follow_up.settle(touched, report["recompute"], journal.first_moment(cr, self.ids))
            listed.extend(journal.changes(cr, [journal.PREVIEW], limit=SHOWN_ROWS))

        try:
            with self.env.cr._cnx.cursor() as cr:
                report = journal.preview(cr, self.ids, meanwhile=meanwhile, **arguments)
        finally:
            self._forget_what_was_seen()
        return {**report, "changes": Changes(self.env, listed).described()}

    def _forget_what_was_seen(self):
        """Leave nothing of a preview in this process: neither records, nor what was worked out from them."""
        self.env.transaction.clear()
        changed = set(self.env.registry.cache_invalidated)
        self.env.registry.clear_all_caches()
        self.env.registry.cache_invalidated.clear()  # nothing has changed for other workers
        self.env.registry.cache_invalidated.update(changed)

    def _run(self, kind, arguments, follow_up, closed, partial):
        operation, own = self._operation(kind)
        with cursors.within(operation):
            number = operation.arm(self.env.cr._cnx)
            with self._kept_if_allowed(closed), self.env.cr._cnx.cursor() as cr:
                report = journal.undo(cr, self.ids, by=number, **arguments)
                touched = journal.touched(cr, follow_up.tables) if report["done"] else {}
                since = journal.first_moment(cr, self.ids)
                if report["done"]:
                    self._check_closed(closed)
            if report["done"]:
                operation.undoes = tuple(self.ids)
                operation.partly = partial or bool(report["skipped"])
                follow_up.run(touched, report["recompute"], since)
                self._set_undone(number, partial=operation.partly)
                self.env.flush_all()
            if own:
                operation.committing(self.env.cr._cnx, alone=False)
                operation.committed(self.env.cr._cnx)
        return {**report, "operation": number if report["done"] else None}

    def _operation(self, kind):
        """Return the operation that the undo is: the agent's request, or one of its own; and whether the latter."""
        running = requests.current(self.env.cr)
        if running is not None:
            running.call = replace(running.call, kind=kind)
            return running, False
        agents, sessions = self._agents(), set(self.mapped("session_id"))
        call = Call(
            user_id=self.env.uid,
            agent_id=agents.id if len(agents) == 1 else None,  # of several it is nobody's: `agent_ids` has them
            session=(sessions.pop() or "") if len(sessions) == 1 else "",
            tool="web",
            model=self._name,
            method=f"action_{kind}",
            record_ids=tuple(self.ids),
            kind=kind,
        )
        log = requests.log_of(self.env)
        return Operation(self.env.cr.dbname, call, log, answered=True), True

    def _lock(self, kind):
        """Have a second undo of the same wait, fail to serialize, and be tried again on what this one leaves."""
        if kind != "preview":
            query = "SELECT id FROM loomworks_ai_operation_log WHERE id IN %s ORDER BY id FOR UPDATE"
            self.env.cr.execute(query, [tuple(self.ids) or (0,)], log_exceptions=False)
            self.invalidate_recordset(["state", "undone"])

    def _still_there(self):
        """Return those of these of which something is left: not what is undone, nor what undid others of these only."""
        return self.filtered(
            lambda log: (
                log.state != "rolled_back"
                and (log.state != "failed" or log.row_changes)
                and not (log.undoes and self._covers(log.undoes))
            )
        )

    def _covers(self, numbers):
        """Tell whether operations are all among these, or have in turn undone only such."""
        others = self.sudo().browse([one for one in numbers if one not in self._ids]).exists()
        beside = set(numbers) - set(self._ids) - set(others.ids)
        return not beside and all(other.undoes and self._covers(other.undoes) for other in others)

    def _refusal(self, chosen):
        """Return why these cannot be undone whatever the rows say, or None.

        :param chosen: these, and those of which nothing is left
        """
        accounted = self._accounted()
        for log in self.sudo():
            reason = log._refusal_by_state()
            if not reason and set(log.undoes or ()) & set(chosen.ids) and not chosen._covers(log.undoes):
                reason = self.env._("Operation %s has taken back others, of which only some are chosen.", log.id)
            if not reason and accounted.get(log.id, 0) < log.row_changes:
                reason = self.env._("Operation %s is too old: its journal is no longer kept.", log.id)
            if reason:
                return reason
        return None

    def _refusal_by_state(self):
        if self.state == "restore_only":
            return self.env._(
                "Operation %(id)s can only be taken back by restoring the database as it was before: %(why)s",
                id=self.id,
                why=self.error_message or "",
            )
        if self.state == "pending":
            return self.env._("Operation %s is still under way.", self.id)
        if self.state == "rolled_back":
            return self.env._(
                "Operation %(id)s has been undone already, by operation %(by)s.", id=self.id, by=self.undone_by
            )
        if self.state == "failed" and not self.row_changes:
            return self.env._("Operation %s has failed and changed nothing.", self.id)
        return None

    def _refused(self, reason):
        lists = {name: [] for name in ("conflicts", "effects", "skipped", "unmeant", "changes")}
        none = {"rows": {}, "touched": 0, "gone": 0, "back": 0, **lists}
        return {"operations": self.ids, "operation": None, "done": False, "refused": reason, **none}

    def _check_choices(self, on_conflict, choices):
        chosen = {on_conflict, *(one.get("choice") for one in choices or [])}
        if chosen - set(POLICIES):
            raise UserError(self.env._("A choice is one of %s.", ", ".join(POLICIES)))
        if "ours" in chosen and self.env.user._is_ai_agent() and not self.env.su:
            raise AccessError(
                self.env._(
                    "Only a person may decide to take back what others have changed since: ask one, or choose “theirs”."
                )
            )

    def _row(self, one):
        model = self.env.get(one.get("model"))
        if model is None:
            raise UserError(self.env._("There is no model “%s”.", one.get("model")))
        return model._table, int(one["id"])

    def _undone_in_parts_by(self):
        """Return the operations that have taken back parts of these, and of those in turn; none where it was all."""
        if not any(log.state == "partially_rolled_back" for log in self):
            return self.browse()
        undoing = found = self._undoing().sudo()
        while found:  # with what was taken back of them
            found = found._undone_by() - undoing
            undoing |= found
        return undoing - self.sudo()

    # --- afterwards ---

    def _set_undone(self, number, *, partial, undone=True):
        """Write down what has become of these, and of what they had undone themselves.

        :param number: the operation that undoes them, or whose undoing of them was taken back
        :param partial: only a part was
        """
        undoing = {} if undone else self._still_undone_by()
        for log in self.sudo():
            before = self.browse(log.undoes or []).exists()
            if before:
                before._set_undone(log.id, partial=partial if undone else log.partly, undone=not undone)
            if partial or undoing.get(log.id, set()) - {number}:
                state = "partially_rolled_back"
            elif undone:
                state = "rolled_back"
            else:  # only what has failed says why
                state = "failed" if log.error_message else "done"
            log.write(
                {
                    "state": state,
                    "undone": state == "rolled_back",
                    "undone_at": fields.Datetime.now() if undone else False,
                    "undone_by": number if undone else 0,
                }
            )

    def _still_undone_by(self):
        """Return, by number, the operations by which each of these is undone now."""
        pairs = self._pairs_of_undone()
        standing = set(self._standing(self._undone_by()).ids)
        found = {}
        for undone, undoing in pairs:
            if undoing in standing:
                found.setdefault(undone, set()).add(undoing)
        return found

    # --- for people ---

    def _told(self, report, effects):
        """Return the report with conflicts and effects in words, without what the user may not see."""
        named = [*report["conflicts"], *report["skipped"], *report["unmeant"]]
        changes = Changes(self.env, [{"table": one["table"], "key": one["key"] or {}} for one in named])
        told = {**report, "effects": effects}
        told["conflicts"] = [self._told_conflict(changes, one) for one in report["conflicts"]]
        for name in ("skipped", "unmeant"):
            told[name] = changes.named(report[name])
        told.pop("recompute", None)
        return told

    def _told_conflict(self, changes, conflict):
        words = ConflictWords(self.env, changes, conflict)
        choices = [one for one in conflict["choices"] if one != "ours" or not self.env.user._is_ai_agent()]
        return {
            "type": conflict["type"],
            "table": conflict["table"],
            "model": words.model._name if words.model is not None else None,
            "id": (conflict["key"] or {}).get("id"),
            "fields": words.columns(),
            "message": words.message(),
            "detail": words.detail(),
            "operation": words.cause.id or None,
            "choices": choices,
            "choice": conflict["choice"],
        }
