"""Agents among people: what others did since, what left the system, what cannot be undone."""

import base64
import contextlib
import http.client
import sys
import threading
import urllib.request
import xmlrpc.client
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg2
import psycopg2.errors
import pytest
from agents import Agent
from harness.sinks import mail_sink, web_server
from health import dangling
from test_scenes import bill, order, pay, posted
from whole_state import differences


def made(office, prepare):
    """Do something as a person; return model and numbers of what came of it."""
    with office.person() as env:
        records = prepare(env)
        return records._name, records.ids


def partner(env):
    return env["res.partner"].create({"name": "Azure", "phone": "1", "email": "a@example.test"})


def partners_with_a_new_phone(office, agent, count):
    """Partners that people have made, and whose phone the agent has changed from 1 to 2."""
    model, numbers = made(office, lambda env: env["res.partner"].union(*(partner(env) for _one in range(count))))
    with agent.request() as env:
        env[model].browse(numbers).write({"phone": "2"})
    return model, numbers


def read(office, model, numbers, *names):
    with office.person() as env:
        return [tuple(record[name] for name in names) for record in env[model].browse(numbers)]


@pytest.mark.parametrize("kind", ["many2one", "many2many"])
def test_a_property_that_names_what_goes_is_in_the_way(office, agent, kind):
    with agent.request() as env:
        customer = env["res.partner"].create({"name": "Azure"}).id
    with office.person() as env:
        asked = {"name": f"asked_{kind}", "string": "Asked by", "type": kind, "comodel": "res.partner"}
        project = env["project.project"].create({"name": "Works", "task_properties_definition": [asked]})
        task = env["project.task"].create({"name": "Wire", "project_id": project.id})
        task.task_properties = {asked["name"]: customer if kind == "many2one" else [customer]}
        task = task.id
    before = office.state()
    conflicts = agent.undo()["conflicts"]
    assert [(one["type"], one["detail"]["table"]) for one in conflicts] == [("depended", "project_task")]
    assert "Task" in conflicts[0]["message"]
    assert differences(before, office.state()) == []
    with office.person() as env:
        env["project.task"].browse(task).task_properties = {asked["name"]: False}
    assert agent.undo()["done"]


def test_a_property_of_all_partners_is_in_the_way_and_dangles_where_nobody_looks(office, agent):
    asked = {"name": "asked_partner", "string": "Asked by", "type": "many2one", "comodel": "res.partner"}
    with agent.request() as env:
        customer = env["res.partner"].create({"name": "Azure"}).id
    with office.person() as env:
        definitions = env["properties.base.definition"].sudo()
        definitions._get_definition_for_property_field("res.partner", "properties").properties_definition = [asked]
        other = env["res.partner"].create({"name": "Bob"})
        other.properties = {asked["name"]: customer}
        other = other.id
    conflicts = agent.undo()["conflicts"]
    assert [(one["type"], one["detail"]["table"]) for one in conflicts] == [("depended", "res_partner")]
    with office.person() as env:
        assert not dangling(env)
        env["res.partner"].browse(customer).unlink()  # Odoo lets people do so
        env.flush_all()
        assert dangling(env) == {("res_partner", "properties", other, "res.partner", customer)}
        env.cr.rollback()


def test_an_action_that_somebody_starts_with_is_in_the_way(office, agent):
    with agent.request() as env:
        action = env["ir.actions.act_window"].sudo().create({"name": "Mine", "res_model": "res.partner"}).id
    with office.person() as env:
        env.user.action_id = action
    before = office.state()
    conflicts = agent.undo()["conflicts"]
    assert [(one["type"], one["detail"]["table"]) for one in conflicts] == [("depended", "res_users")]
    assert differences(before, office.state()) == []
    with office.person() as env:
        env.user.action_id = False
    assert agent.undo()["done"]


@pytest.mark.parametrize("written", [1, 2])
def test_a_sequence_that_an_agent_set_back_gives_no_number_twice(office, agent, written):
    with office.person() as env:
        sequence = env["ir.sequence"].create({"name": "Numbers"}).id
        taken = [env["ir.sequence"].browse(sequence).next_by_id() for _number in range(3)]
    with agent.request() as env:
        env["ir.sequence"].sudo().browse(sequence).number_next = written
    with office.person() as env:
        again = env["ir.sequence"].browse(sequence).next_by_id()
    assert again in taken
    assert agent.undo()["done"]
    with office.person() as env:
        assert env["ir.sequence"].browse(sequence).next_by_id() not in taken


def test_a_total_that_both_changed_is_computed_anew(office, agent):
    model, numbers = made(office, order)
    with agent.request() as env:
        line = env[model].browse(numbers).order_line[0]
        line.product_uom_qty = 10
    with office.person() as env:
        sale = env[model].browse(numbers)
        untouched = sale.amount_untaxed
        product = env["product.product"].create({"name": "Lamp", "list_price": 100})
        sale.order_line = [(0, 0, {"product_id": product.id, "product_uom_qty": 1})]
        assert sale.amount_untaxed == untouched + 100
    with office.person() as env:
        told = env["mail.message"].search([], order="id desc", limit=1).id
    report = agent.undo()
    assert report["done"], report["conflicts"]
    with office.person() as env:  # nobody is told of a change
        assert env["mail.message"].search([], order="id desc", limit=1).id <= told
    ((amount, lines),) = read(office, model, numbers, "amount_untaxed", "order_line")
    assert amount == 3 * 40 + 3 * 90 + 100
    assert len(lines) == 3


def test_what_follows_from_it_in_records_made_since_is_computed_anew(office, agent):
    model, numbers = made(office, partner)
    with agent.request() as env:
        env[model].browse(numbers).name = "Blue"
    with office.person() as env:
        child = env[model].create({"name": "Bob", "parent_id": numbers[0]})
        assert child.complete_name == "Blue, Bob"
        number = child.id
    assert agent.undo()["done"]
    assert read(office, model, [*numbers, number], "complete_name") == [("Azure",), ("Azure, Bob",)]
    assert agent.undo(kind="redo")["done"]
    assert read(office, model, [*numbers, number], "complete_name") == [("Blue",), ("Blue, Bob",)]


def test_what_a_person_wrote_on_it_since_depends_on_it(office, agent):
    with agent.request() as env:
        created = partner(env)
        number = created.id
    with office.person() as env:
        env["res.partner"].browse(number).message_post(body="Called them")
    before = office.state()
    report = agent.undo()
    assert not report["done"]
    assert {one["type"] for one in report["conflicts"]} == {"depended"}
    assert any("Message" in one["message"] and "deleted with it" in one["message"] for one in report["conflicts"])
    assert differences(before, office.state()) == []
    assert agent.undo(on_conflict="ours")["done"]
    with office.person() as env:
        assert not env["res.partner"].browse(number).exists()
        assert not env["mail.message"].search([("model", "=", "res.partner"), ("res_id", "=", number)])


def test_a_person_changed_it_before_the_agent_deleted_it(office, agent):
    model, numbers = partners_with_a_new_phone(office, agent, 1)
    changed = agent.last
    with office.person() as env:
        env[model].browse(numbers).write({"phone": "3", "email": "b@example.test"})
    with agent.request() as env:
        env[model].browse(numbers).unlink()
    report = agent.undo(changed, agent.last)
    assert [(one["type"], one["fields"]) for one in report["conflicts"]] == [("between", ["phone"])]
    assert agent.undo(changed, agent.last, on_conflict="theirs")["done"]
    assert read(office, model, numbers, "phone", "email") == [("3", "b@example.test")]


def test_another_record_uses_it(office, agent):
    with agent.request() as env:
        country = env["res.country.state"].sudo().create({"name": "Utopia", "code": "UT", "country_id": 1})
        number = country.id
    model, numbers = made(office, lambda env: env["res.partner"].create({"name": "U", "state_id": number}))
    before = office.state()
    report = agent.undo()
    assert [one["type"] for one in report["conflicts"]] == ["depended"]
    assert differences(before, office.state()) == []
    with office.person() as env:
        env[model].browse(numbers).state_id = False
    assert agent.undo()["done"]


def test_a_person_deleted_what_the_agent_changed(office, agent):
    model, numbers = made(office, partner)
    with agent.request() as env:
        env[model].browse(numbers).phone = "2"
    with office.person() as env:
        env[model].browse(numbers).unlink()
    before = office.state()
    assert [one["type"] for one in agent.undo()["conflicts"]] == ["deleted"]
    assert differences(before, office.state()) == []


def test_a_person_deleted_what_the_agent_had_made(office, agent):
    with agent.request() as env:
        number = partner(env).id
    with office.person() as env:
        env["res.partner"].browse(number).unlink()
    before = office.state()
    report = agent.undo()
    assert report["done"], report["conflicts"]
    assert report["gone"] > 0
    assert report["touched"] == 0
    assert agent.state_of() == "rolled_back"
    assert agent.state_of(report["operation"]) == "done"  # also an undo that had nothing to do is one
    assert agent.undo(kind="redo")["done"]
    assert agent.state_of() == "done"
    assert differences(before, office.state()) == []


def test_a_person_took_the_unique_value(office, agent):
    model, numbers = made(office, lambda env: env["product.tag"].create({"name": "Red"}))
    with agent.request() as env:
        env[model].browse(numbers).sudo().name = "Blue"
    made(office, lambda env: env["product.tag"].create({"name": "Red"}))
    before = office.state()
    assert [one["type"] for one in agent.undo()["conflicts"]] == ["unique"]
    assert differences(before, office.state()) == []


def test_chosen_records_and_then_the_rest(office, agent):
    model, numbers = made(office, lambda env: partner(env) | partner(env) | partner(env))
    before = office.state()
    with agent.request() as env:
        env[model].browse(numbers).write({"phone": "2"})
    assert agent.undo(records=[{"model": model, "id": numbers[1]}])["done"]
    assert read(office, model, numbers, "phone") == [("2",), ("1",), ("2",)]
    assert agent.state_of() == "partially_rolled_back"
    assert agent.undo()["done"]
    assert agent.state_of() == "rolled_back"
    assert differences(before, office.state()) == []


def test_the_state_says_what_is_left_of_undos_in_parts(office, agent):
    model, numbers = partners_with_a_new_phone(office, agent, 3)
    first = agent.undo(records=[{"model": model, "id": numbers[0]}])["operation"]
    rest = agent.undo()["operation"]
    assert agent.state_of() == "rolled_back"
    assert agent.undo(rest)["done"]
    assert read(office, model, numbers, "phone") == [("1",), ("2",), ("2",)]
    assert agent.state_of() == "partially_rolled_back"
    again = agent.undo(first)["operation"]
    assert read(office, model, numbers, "phone") == [("2",), ("2",), ("2",)]
    assert agent.state_of() == "done"
    assert agent.undo(again)["done"]
    assert read(office, model, numbers, "phone") == [("1",), ("2",), ("2",)]
    assert agent.state_of() == "partially_rolled_back"


def test_a_redo_in_parts(office, agent):
    model, numbers = partners_with_a_new_phone(office, agent, 2)
    assert agent.undo()["done"]
    assert agent.undo(kind="redo", records=[{"model": model, "id": numbers[0]}])["done"]
    assert read(office, model, numbers, "phone") == [("2",), ("1",)]
    assert agent.state_of() == "partially_rolled_back"
    assert agent.undo(kind="redo")["done"]
    assert read(office, model, numbers, "phone") == [("2",), ("2",)]
    assert agent.state_of() == "done"
    assert agent.undo()["done"]
    assert read(office, model, numbers, "phone") == [("1",), ("1",)]


def test_the_rest_after_a_redo_in_parts(office, agent):
    model, numbers = partners_with_a_new_phone(office, agent, 2)
    assert agent.undo()["done"]
    assert agent.undo(kind="redo", records=[{"model": model, "id": numbers[0]}])["done"]
    assert agent.undo()["done"]
    assert read(office, model, numbers, "phone") == [("1",), ("1",)]
    assert agent.state_of() == "rolled_back"


def test_what_follows_is_computed_anew_also_between_two_operations(office, agent):
    model, numbers = made(office, lambda env: partner(env) | partner(env))
    with agent.request() as env:
        env[model].browse(numbers[0]).name = "Blue"
    first = agent.last
    with office.person() as env:
        number = env[model].create({"name": "Bob", "parent_id": numbers[0]}).id
    with agent.request() as env:
        env[model].browse(numbers[1]).phone = "2"
    assert agent.undo(first, agent.last)["done"]
    assert read(office, model, [number], "complete_name") == [("Azure, Bob",)]


@pytest.mark.parametrize(("implementation", "again"), [("standard", False), ("no_gap", True)])
def test_a_number_is_given_again_only_where_there_may_be_no_gap(office, agent, implementation, again):
    with office.person() as env:
        values = {"name": "Numbers", "implementation": implementation, "prefix": "N"}
        sequence = env["ir.sequence"].create(values).id
        env["ir.sequence"].browse(sequence).next_by_id()
    with agent.request() as env:
        taken = env["ir.sequence"].sudo().browse(sequence).next_by_id()
        env["res.partner"].create({"name": taken})
    assert agent.undo()["done"]
    with office.person() as env:
        following = env["ir.sequence"].browse(sequence).next_by_id()
    assert int(following[1:]) == int(taken[1:]) + (not again)


def test_a_number_without_gaps_that_somebody_took_since_is_not_given_twice(office, agent):
    """Whatever is chosen: the counter stays; the rest is taken back where that is left alone."""
    with office.person() as env:
        sequence = env["ir.sequence"].create({"name": "Numbers", "implementation": "no_gap", "prefix": "N"}).id
    with agent.request() as env:
        env["res.partner"].create({"name": env["ir.sequence"].sudo().browse(sequence).next_by_id()})
    with office.person() as env:
        assert env["ir.sequence"].browse(sequence).next_by_id() == "N2"
    before = office.state()
    report = agent.undo(on_conflict="ours")
    assert not report["done"]
    (conflict,) = report["conflicts"]
    assert (conflict["model"], conflict["choices"]) == ("ir.sequence", ["theirs", "skip"])
    assert conflict["message"].endswith("Its next number has moved on since, and does not go back.")
    assert differences(before, office.state()) == []
    kept = {"model": "ir.sequence", "id": sequence, "choice": "theirs"}
    assert agent.undo(on_conflict="ours", choices=[kept])["done"]
    with office.person() as env:
        assert env["ir.sequence"].browse(sequence).next_by_id() == "N3"
        assert not env["res.partner"].search([("name", "=", "N1")])


SNEAK = "CREATE OR REPLACE FUNCTION sneak(number int) RETURNS int LANGUAGE sql AS $$ %s $$"
SNEAKED = "UPDATE res_partner SET comment = 'x' WHERE id = number RETURNING id"


def test_what_a_function_changes_before_anything_else_is_not_taken_for_nothing(office, agent):
    model, numbers = made(office, lambda env: partner(env) | partner(env))
    with office.cursor() as cr:
        cr.execute(SNEAK % SNEAKED)
    try:
        with agent.request() as env:
            env.cr.execute("SELECT sneak(%s)", [numbers[0]])
            env[model].browse(numbers[1]).phone = "2"
    finally:
        with office.cursor() as cr:
            cr.execute("DROP FUNCTION sneak")
    assert agent.state_of() == "restore_only"
    report = agent.undo()
    assert not report["done"]
    assert "res_partner" in report["refused"]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1; UPDATE res_partner SET comment = 'x' WHERE id = %s",
        "EXPLAIN (ANALYZE) UPDATE res_partner SET comment = 'x' WHERE id = %s",
    ],
)
def test_what_only_looks_like_reading_is_captured(office, agent, statement):
    model, numbers = made(office, lambda env: partner(env) | partner(env))
    before = office.state()
    with agent.request() as env:
        env.cr.execute(statement, [numbers[0]])
        env[model].browse(numbers[1]).phone = "2"
    assert agent.undo()["done"]
    assert differences(before, office.state()) == []


def test_a_new_analytic_plan_can_only_be_restored(office, agent):
    before = office.state()
    with agent.request() as env:
        env["account.analytic.plan"].sudo().create({"name": "Regions"})
    assert agent.state_of() == "restore_only"
    report = agent.undo()
    assert not report["done"]
    assert "restoring the database" in report["refused"]
    with office.person() as env:
        log = env["loomworks.ai.operation.log"].browse(agent.last)
        assert "altered" in log.error_message
        assert "/" in log.lsn
    assert differences(before, office.state())


def lock(office, column, day, company=None):
    """Close the books up to a day, or open them again; by SQL, as the hard lock is for good."""
    with office.person() as env:
        number = company or env.company.id
        env.cr.execute(f"UPDATE res_company SET {column} = %s WHERE id = %s", [day, number])


@pytest.mark.parametrize(
    ("column", "kind", "percent"),
    [
        ("fiscalyear_lock_date", "out_invoice", 21),
        ("hard_lock_date", "out_invoice", 21),
        ("sale_lock_date", "out_invoice", 21),
        ("purchase_lock_date", "in_invoice", 21),
        ("tax_lock_date", "out_invoice", 21),
        ("tax_lock_date", "out_invoice", 0),
    ],
)
def test_a_period_that_was_closed_since_is_not_touched(office, agent, column, kind, percent):
    with office.person() as env:
        use = {"out_invoice": "sale", "in_invoice": "purchase"}[kind]
        tax = env["account.tax"].create({"name": f"{percent} of {column}", "amount": percent, "type_tax_use": use}).id
    with agent.request() as env:
        move = bill(env, kind)
        move.invoice_line_ids.tax_ids = env["account.tax"].browse(tax)
        move.action_post()
        number = move.id
    lock(office, column, "2026-03-31")
    before = office.state()
    report = agent.undo(on_conflict="ours")
    assert not report["done"]
    assert "its period is closed" in {
        one["detail"]["reason"] for one in report["conflicts"] if one["type"] == "protected"
    }
    assert differences(before, office.state()) == []
    lock(office, column, None)
    assert agent.undo()["done"]
    with office.person() as env:
        assert not env["account.move"].browse(number).exists()


def taxed(env):
    """A posted invoice with a tax."""
    move = bill(env)
    tax = env["account.tax"].create({"name": f"21 of {move.id}", "amount": 21, "type_tax_use": "sale"})
    move.invoice_line_ids.tax_ids = tax
    return posted(move)


@pytest.mark.parametrize("column", ["tax_lock_date", "fiscalyear_lock_date"])
def test_a_payment_of_what_lies_in_a_period_that_was_closed_since_is_taken_back(office, agent, column):
    model, numbers = made(office, taxed)
    with agent.request() as env:
        pay(env[model].browse(numbers))
        assert env[model].browse(numbers).payment_state in ("paid", "in_payment")
    lock(office, column, "2026-03-31")
    report = agent.undo()
    lock(office, column, None)
    assert report["done"], report["conflicts"]
    with office.person() as env:
        invoice = env[model].browse(numbers)
        assert (invoice.payment_state, invoice.amount_residual) == ("not_paid", invoice.amount_total)
        assert not any(invoice.line_ids.mapped("reconciled"))


@pytest.mark.parametrize(("column", "done"), [("tax_lock_date", True), ("fiscalyear_lock_date", False)])
def test_an_account_in_a_period_that_was_closed_since_is_restored_only_where_a_person_could(
    office, agent, column, done
):
    model, numbers = made(office, taxed)
    with agent.request() as env:
        line = env[model].browse(numbers).invoice_line_ids
        line.account_id = line.account_id.copy()
    lock(office, column, "2026-03-31")
    before = office.state()
    report = agent.undo(on_conflict="ours")
    lock(office, column, None)
    assert report["done"] is done, report["conflicts"]
    if not done:
        assert [(one["table"], one["type"]) for one in report["conflicts"]] == [("account_move_line", "protected")]
        assert [one for one in differences(before, office.state()) if "res_company" not in one] == []
        assert agent.undo()["done"]


@pytest.mark.parametrize(("column", "kind"), [("sale_lock_date", "in_invoice"), ("purchase_lock_date", "out_invoice")])
def test_a_lock_of_other_journals_is_no_reason_to_refuse(office, agent, column, kind):
    with agent.request() as env:
        bill(env, kind).action_post()
    lock(office, column, "2026-03-31")
    assert agent.undo()["done"]
    lock(office, column, None)


def test_a_company_above_closes_the_books_of_its_branches(office, agent):
    with agent.request() as env:
        bill(env).action_post()
        own = env.company.id
    with office.person() as env:
        above = env["res.company"].create({"name": "Above"}).id
    below = "UPDATE res_company SET parent_path = %s WHERE id = %s"
    with office.cursor() as cr:
        cr.execute(below, [f"{above}/{own}/", own])
    lock(office, "sale_lock_date", "2026-03-31", above)
    report = agent.undo(on_conflict="ours")
    assert "protected" in {one["type"] for one in report["conflicts"]}
    with office.cursor() as cr:
        cr.execute(below, [f"{own}/", own])
    assert agent.undo()["done"]


def test_what_was_posted_under_an_audit_trail_is_not_deleted(office, agent):
    with agent.request() as env:
        move = bill(env)
        move.action_post()
        number = move.id
    with office.person() as env:
        env.company.restrictive_audit_trail = True
    before = office.state()
    report = agent.undo(on_conflict="ours")
    assert not report["done"]
    told = {(one["table"], one["detail"]["reason"]) for one in report["conflicts"] if one["type"] == "protected"}
    reason = "its company keeps an audit trail of what was once posted"
    assert {("account_move", reason), ("mail_message", reason)} <= told
    assert differences(before, office.state()) == []
    with office.person() as env:
        env.company.restrictive_audit_trail = False
    assert agent.undo()["done"]
    with office.person() as env:
        assert not env["account.move"].browse(number).exists()


def test_a_message_of_an_entry_under_an_audit_trail_is_not_deleted(office, agent):
    model, numbers = made(office, lambda env: posted(bill(env)))
    with agent.request() as env:
        env[model].browse(numbers).message_post(body="Paid by hand")
    with office.person() as env:
        env.company.restrictive_audit_trail = True
    assert {one["type"] for one in agent.undo(on_conflict="ours")["conflicts"]} == {"protected"}
    with office.person() as env:
        env.company.restrictive_audit_trail = False
    assert agent.undo()["done"]


def test_nothing_of_an_audit_trail_is_lost_where_its_rows_are_skipped(office, agent):
    model, numbers = made(office, bill)
    with agent.request() as env:
        move = posted(env[model].browse(numbers))
        values = {"res_model": model, "res_id": move.id, "raw": b"%PDF-1.4 a bill", "mimetype": "application/pdf"}
        document = env["ir.attachment"].create({"name": "bill.pdf", **values}).id
    with office.person() as env:
        env.company.restrictive_audit_trail = True
        trail = env[model].browse(numbers).message_ids.sudo().tracking_value_ids.ids
        assert trail
    agent.undo(on_conflict="skip")
    with office.person() as env:
        move = env[model].browse(numbers)
        assert (move.state, move.posted_before) == ("posted", True)
        assert set(move.line_ids.mapped("parent_state")) == {"posted"}
        assert set(trail) <= set(move.message_ids.sudo().tracking_value_ids.ids)
        assert env["ir.attachment"].browse(document).exists()
        env.company.restrictive_audit_trail = False


def test_an_agent_writes_no_code_into_templates(office, agent):
    from odoo.exceptions import AccessError

    body = "<t t-out=\"object.env.cr.execute('SELECT 1')\"/>"
    values = {"name": "T", "model_id": None, "body_html": body}
    with office.person() as env:
        values["model_id"] = env["ir.model"]._get_id("res.partner")
        env["ir.config_parameter"].set_param("mail.restrict.template.rendering", False)  # everybody may
        assert env.ref("mail.group_mail_template_editor") in env["res.users"].browse(office.agent_id).all_group_ids
        assert not env["res.users"].browse(office.agent_id).has_group("mail.group_mail_template_editor")
        assert env.user.has_group("mail.group_mail_template_editor")
    with pytest.raises(AccessError), agent.request() as env:
        env["mail.template"].create(values)
    with agent.request() as env:
        env["mail.template"].create({**values, "body_html": "<p>Hello</p>"})
    with office.person() as env:
        env["ir.config_parameter"].set_param("mail.restrict.template.rendering", True)


def test_an_entry_that_was_secured_since_is_not_touched(office, agent):
    model, numbers = made(office, bill)
    with agent.request() as env:
        env[model].browse(numbers).action_post()
    with office.person() as env:
        env.cr.execute("UPDATE account_move SET inalterable_hash = 'abc' WHERE id = %s", numbers)
    before = office.state()
    report = agent.undo(on_conflict="ours")
    assert not report["done"]
    assert "protected" in {one["type"] for one in report["conflicts"]}
    assert differences(before, office.state()) == []
    with office.person() as env:
        env.cr.execute("UPDATE account_move SET inalterable_hash = NULL WHERE id = %s", numbers)
    assert agent.undo()["done"]


def test_a_posted_entry_does_not_come_back_into_a_closed_period(office, agent):
    model, numbers = made(office, lambda env: posted(bill(env)))
    with agent.request() as env:
        moves = env[model].browse(numbers)
        moves.button_draft()
        moves.with_context(force_delete=True).unlink()
    with office.person() as env:
        env.company.sudo().fiscalyear_lock_date = "2026-03-31"
    before = office.state()
    report = agent.undo(on_conflict="ours")
    assert not report["done"]
    assert {one["table"] for one in report["conflicts"] if one["type"] == "protected"} >= {"account_move"}
    assert differences(before, office.state()) == []
    with office.person() as env:
        env.company.sudo().fiscalyear_lock_date = False
    assert agent.undo()["done"]
    assert read(office, model, numbers, "state") == [("posted",)]


def test_what_the_database_refuses_is_told_and_not_thrown(office, agent):
    model, numbers = made(office, partner)
    with agent.request() as env:
        env[model].browse(numbers).write({"function": "Boss"})
    with office.cursor() as cr:
        cr.execute("ALTER TABLE res_partner ADD CONSTRAINT told CHECK (function IS NOT NULL OR id <> %s)", numbers)
    try:
        report = agent.undo()
    finally:
        with office.cursor() as cr:
            cr.execute("ALTER TABLE res_partner DROP CONSTRAINT told")
    assert not report["done"]
    (conflict,) = report["conflicts"]
    assert (conflict["type"], conflict["choices"]) == ("refused", [])
    assert "told" in conflict["message"]
    assert agent.undo()["done"]


def test_an_operation_whose_journal_is_only_half_there_is_refused(office, agent):
    model, numbers = made(office, partner)
    with agent.request() as env:
        env[model].browse(numbers).phone = "2"
        env.cr.commit()
        env[model].browse(numbers).email = "b@example.test"
    with office.cursor() as cr:  # what dropping a month does to an operation that went on past midnight
        first = "(SELECT min(at) FROM loomworks.entry WHERE operation = %(number)s)"
        for table in ("entry", "transaction"):
            first_of = f"DELETE FROM loomworks.{table} WHERE operation = %(number)s AND at = "
            cr.execute(
                first_of + (first if table == "entry" else first.replace("entry", table)), {"number": agent.last}
            )
    before = office.state()
    report = agent.undo()
    assert not report["done"]
    assert "no longer kept" in report["refused"]
    assert differences(before, office.state()) == []


# --- transactions ---


def test_a_request_that_commits_and_opens_cursors(office, agent):
    model, numbers = made(office, lambda env: partner(env) | partner(env))
    before = office.state()
    with agent.request() as env:
        first, second = env[model].browse(numbers)
        first.phone = "2"
        env.cr.commit()
        with env.registry.cursor() as cr:
            cr.execute("UPDATE res_partner SET phone = '3' WHERE id = %s", [second.id])
        first.phone = "4"
    assert agent.state_of() == "done"
    with office.person() as env:
        assert env["loomworks.ai.operation.log"].browse(agent.last).row_changes >= 3
    assert agent.undo()["done"]
    assert differences(before, office.state()) == []


def test_a_request_that_fails_after_a_commit_can_be_undone(office, agent):
    from odoo.addons.loomworks_ai.recording import cursors

    model, numbers = made(office, partner)
    before = office.state()
    with office.cursor() as cr, cursors.within(agent.operation(cr)) as operation:
        env = agent.environment(cr)
        env[model].browse(numbers).phone = "2"
        cr.commit()
        assert agent.state_of(operation.number) == "pending"
        env[model].browse(numbers).phone = "3"
        env.flush_all()
        cr.rollback()
        operation.fail("it broke")
    assert agent.state_of(operation.number) == "failed"
    assert read(office, model, numbers, "phone") == [("2",)]
    assert agent.undo(operation.number)["done"]
    assert differences(before, office.state()) == []


def test_savepoints_that_are_rolled_back(office, agent):
    model, numbers = made(office, partner)
    before = office.state()
    with agent.request() as env:
        record = env[model].browse(numbers)
        with contextlib.suppress(psycopg2.errors.NotNullViolation), env.cr.savepoint():
            record.phone = "2"
            env.flush_all()
            env.cr.execute("UPDATE res_users SET login = NULL", log_exceptions=False)
        env.invalidate_all()
        record.email = "b@example.test"
    assert agent.state_of() == "done"
    assert agent.undo()["done"]
    assert differences(before, office.state()) == []


def test_a_transaction_that_could_not_serialize_is_tried_again(office, agent):
    from odoo.addons.loomworks_ai.recording import cursors
    from odoo.service.model import retrying

    model, numbers = made(office, partner)
    tries, committed = [], []

    def somebody_else_is_faster():
        def move():
            with office.person() as env:
                env[model].browse(numbers).street = "Elm"
            with office.cursor() as cr:
                cr.execute("SELECT pg_current_wal_insert_lsn()")
                committed.append(cr.fetchone()[0])

        with ThreadPoolExecutor(1) as pool:
            pool.submit(move).result()

    def work(env):
        tries.append(1)
        env["res.partner.category"].create({"name": "The first change"})
        env.flush_all()
        env.cr.execute("SELECT phone FROM res_partner WHERE id = %s", numbers)
        if len(tries) == 1:
            somebody_else_is_faster()
        env[model].browse(numbers).phone = "2"

    with office.cursor() as cr, cursors.within(agent.operation(cr)) as operation:
        env = agent.environment(cr)
        retrying(lambda: work(env), env)
        operation.finish()
    assert len(tries) == 2
    with office.person() as env:
        logs = env["loomworks.ai.operation.log"].search([("id", ">=", operation.number)])
        assert logs.mapped("state") == ["done"]
        env.cr.execute("SELECT %s::pg_lsn >= %s::pg_lsn", [logs.lsn, committed[0]])
        assert env.cr.fetchone() == (True,)  # a restore to just before it has what somebody else did
    assert agent.undo(operation.number)["done"]
    assert read(office, model, numbers, "phone", "street") == [("1", "Elm")]


def undo_and_be_killed(office, number):
    from odoo.addons.loomworks_ai import journal

    with office.cursor() as cr, cr._cnx.cursor() as own:
        assert journal.undo(own, [number], by=10**6)["done"]
        own.execute("SELECT pg_backend_pid()")
        with office.cursor() as killer:
            killer.execute("SELECT pg_terminate_backend(%s)", own.fetchone())
        own.execute("SELECT 1")


def test_an_undo_that_is_killed_half_way_has_done_nothing(office, agent):
    model, numbers = made(office, partner)
    with agent.request() as env:
        env[model].browse(numbers).write({"phone": "2"})
    before = office.state()
    with pytest.raises(psycopg2.OperationalError):
        undo_and_be_killed(office, agent.last)
    assert differences(before, office.state()) == []
    assert agent.undo()["done"]


# --- the day's limit ---


@contextmanager
def left_today(office, more):
    """Have agents do that many more operations today."""
    with office.person() as env:
        used = env["loomworks.ai.operation.log"].search_count(
            [("operation_type", "not in", ("undo", "redo")), ("state", "!=", "failed")]
        )
        env["ir.config_parameter"].set_param("loomworks.max_ai_operations_daily", str(used + more))
    yield
    with office.person() as env:
        env["ir.config_parameter"].set_param("loomworks.max_ai_operations_daily", False)


def change_phone(office, model, number, phone, before_its_commit=lambda: None):
    """Have an agent change a phone, and something else happen just before its request ends."""
    with Agent(office).request() as env:
        env[model].browse(number).phone = phone
        env.flush_all()
        before_its_commit()


def test_the_last_operation_of_a_day_is_taken_once(office):
    from odoo.exceptions import UserError

    model, (one, other) = made(office, lambda env: partner(env) | partner(env))
    with left_today(office, 1):
        with pytest.raises(UserError, match="used up"):  # the other one waits for nobody who has not come to an end
            change_phone(office, model, one, "2", lambda: change_phone(office, model, other, "3"))
        with pytest.raises(UserError, match="used up"):
            change_phone(office, model, one, "4")
    assert read(office, model, [one, other], "phone") == [("1",), ("3",)]


def test_many_at_once_take_what_is_left_of_a_day_and_no_more(office):
    from odoo.exceptions import UserError

    model, numbers = made(office, lambda env: env["res.partner"].union(*(partner(env) for _one in range(8))))
    barrier = threading.Barrier(len(numbers))

    def change(number):
        try:
            change_phone(office, model, number, "2", barrier.wait)
        except UserError:
            return False
        return True

    for left in (3, 1):
        with left_today(office, left), ThreadPoolExecutor(len(numbers)) as pool:
            assert sum(pool.map(change, numbers)) == left
        changed = [phone for (phone,) in read(office, model, numbers, "phone") if phone == "2"]
        assert len(changed) == left
        with office.person() as env:
            env[model].browse(numbers).phone = "1"


# --- tables that come later ---


def test_a_model_of_ones_own_is_captured(office, agent):
    made(
        office,
        lambda env: env["ir.model"].create(
            {
                "name": "Pet",
                "model": "x_pet",
                "field_id": [
                    (0, 0, {"name": "x_name", "ttype": "char", "field_description": "Name"}),
                    (0, 0, {"name": "x_age", "ttype": "integer", "field_description": "Age"}),
                ],
                "access_ids": [
                    (0, 0, {"name": "all", "perm_read": 1, "perm_write": 1, "perm_create": 1, "perm_unlink": 1})
                ],
            }
        ),
    )
    model, numbers = made(office, lambda env: env["x_pet"].create({"x_name": "Rex", "x_age": 3}))
    before = office.state()
    assert "public.x_pet" in before
    with agent.request() as env:
        env[model].browse(numbers).x_age = 4
        env[model].create({"x_name": "Tom"})
    assert agent.undo()["done"]
    assert differences(before, office.state()) == []
    with agent.request() as env:
        env[model].browse(numbers).x_age = 5
    with office.person() as env:
        env["ir.model.fields"].search([("model", "=", "x_pet"), ("name", "=", "x_age")]).unlink()
    assert [(one["type"], one["fields"]) for one in agent.undo()["conflicts"]] == [("schema", ["x_age"])]
    with office.person() as env:
        env["ir.model"].search([("model", "=", "x_pet")]).unlink()
    (gone,) = agent.undo()["conflicts"]
    assert (gone["type"], gone["choices"]) == ("schema", ["skip"])
    assert "the table is gone" in gone["message"]


def test_a_module_that_is_upgraded_between(office, agent):
    from odoo.modules.registry import Registry

    model, numbers = made(
        office, lambda env: env["hr.employee"].create({"name": "Ada", "work_email": "a@example.test"})
    )
    with agent.request() as env:
        env[model].browse(numbers).write({"job_title": "Engineer", "work_email": "b@example.test"})
        made_by_agent = env[model].create({"name": "Bob"}).id
    Registry.new(office.database, update_module=True, upgrade_modules=["hr"])
    report = agent.undo()
    assert report["done"], report
    assert read(office, model, numbers, "job_title", "work_email") == [(False, "a@example.test")]
    with office.person() as env:
        assert not env[model].browse(made_by_agent).exists()
    with agent.request() as env:
        env[model].browse(numbers).job_title = "Boss"
    assert agent.undo()["done"]
    assert read(office, model, numbers, "job_title") == [(False,)]


CHANGING = """
from odoo import fields, models


class Tag(models.Model):
    _inherit = "crm.tag"

    kept = fields.Char()
"""
BEFORE = "    amount = fields.Float()\n    gone = fields.Char()\n"
AFTER = "    amount = fields.Char()\n    added = fields.Char()\n"
COLUMNS = "SELECT attname FROM pg_attribute WHERE attrelid = 'crm_tag'::regclass AND attnum > 0 AND NOT attisdropped"


@pytest.fixture
def bring_in(office, tmp_path, monkeypatch):
    """Return a function that installs or upgrades a module with these fields besides the one that it always has."""
    import odoo.addons
    from odoo.modules.registry import Registry
    from odoo.orm.models import MetaModel

    name = "changes_its_columns"
    monkeypatch.setattr(odoo.addons, "__path__", [*odoo.addons.__path__, str(tmp_path)])
    folder = tmp_path / name
    folder.mkdir()
    (folder / "__manifest__.py").write_text(repr({"name": name, "depends": ["crm"], "license": "LGPL-3"}))

    def bring_in(fields):
        (folder / "__init__.py").write_text(CHANGING + fields)
        sys.modules.pop(f"odoo.addons.{name}", None)
        MetaModel._module_to_models__.pop(name, None)
        with office.person() as env:
            env["ir.module.module"].update_list()
            there = env["ir.module.module"].search([("name", "=", name)]).state == "installed"
        modules = {"upgrade_modules" if there else "install_modules": [name]}
        Registry.new(office.database, update_module=True, **modules)

    yield bring_in
    with office.person() as env:
        env["ir.module.module"].search([("name", "=", name)]).button_immediate_uninstall()
    sys.modules.pop(f"odoo.addons.{name}", None)


def test_an_upgrade_between_that_adds_drops_and_changes_columns(office, agent, bring_in):
    bring_in(BEFORE)
    model, numbers = made(
        office, lambda env: env["crm.tag"].create({"name": "T", "kept": "1", "amount": 1.5, "gone": "1"})
    )
    with agent.request() as env:
        env[model].browse(numbers).write({"kept": "2", "amount": 2.5, "gone": "2"})
        mine = env[model].create({"name": "Mine", "kept": "2", "amount": 2.5, "gone": "2"}).id
    with agent.request() as env:
        env[model].browse(numbers).color = 7
    only_color = agent.last
    bring_in(AFTER)
    with office.cursor() as cr:
        cr.execute(COLUMNS)
        columns = {column for (column,) in cr.fetchall()}
    assert columns >= {"kept", "amount", "added"}
    assert "gone" not in columns
    before = office.state()
    report = agent.undo(only_color - 1)
    assert not report["done"]
    assert {(one["type"], *one["fields"]) for one in report["conflicts"]} == {("schema", "amount"), ("schema", "gone")}
    assert differences(before, office.state()) == []
    assert agent.undo(only_color)["done"]
    assert agent.undo(only_color, kind="redo")["done"]
    assert differences(before, office.state()) == []
    assert agent.undo(only_color - 1, on_conflict="theirs")["done"]
    assert read(office, model, numbers, "kept", "amount", "color") == [("1", "2.5", 7)]
    with office.person() as env:
        assert not env[model].browse(mine).exists()
    with agent.request() as env:  # what is captured now has the new columns
        env[model].browse(numbers).write({"added": "3", "amount": "3"})
    assert agent.undo()["done"]
    assert read(office, model, numbers, "added", "amount") == [(False, "2.5")]


# --- many rows, and cursors that only read ---


def test_a_hundred_thousand_records_are_changed_through_the_orm(office, agent):
    with office.person() as env:
        env.cr.execute(
            """
            INSERT INTO crm_tag (name, color)
            SELECT jsonb_build_object('en_US', 'tag ' || i), i % 11 FROM generate_series(1, 100000) i RETURNING id
            """
        )
        numbers = [number for (number,) in env.cr.fetchall()]
    before = office.state()
    with agent.request() as env:
        env["crm.tag"].browse(numbers).write({"color": 3})
    report = agent.undo()
    assert report["done"], report
    assert report["touched"] == len(numbers)
    assert differences(before, office.state()) == []
    with office.cursor() as cr:
        cr.execute("DELETE FROM crm_tag WHERE id = ANY(%s)", [numbers])


def test_a_cursor_that_only_reads_shows_an_operation_and_undoes_nothing(office, agent):
    model, numbers = made(office, partner)
    with agent.request() as env:
        env[model].browse(numbers).phone = "2"
    before = office.state()
    with office.person() as env:
        env.cr.execute("SET TRANSACTION READ ONLY")
        log = env["loomworks.ai.operation.log"].browse(agent.last)
        (values,) = log.read(["values_before", "values_after", "changes_html", "effects", "can_undo"])
        assert "Azure" in values["changes_html"]
        assert values["can_undo"]
        with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction):
            log.action_undo()
        env.cr.rollback()
    assert differences(before, office.state()) == []
    assert agent.undo()["done"]


# --- files ---


def test_the_file_of_a_deleted_attachment_is_kept_for_the_undo(office, agent):
    content = b"the only copy " * 1000
    values = {"name": "a.txt", "datas": base64.b64encode(content), "res_model": "res.partner", "res_id": 1}
    model, numbers = made(office, lambda env: env["ir.attachment"].create(values))
    with agent.request() as env:
        env[model].browse(numbers).unlink()
    with office.person() as env:
        env["ir.attachment"]._gc_file_store_unsafe()
    assert agent.undo()["done"]
    assert read(office, model, numbers, "raw") == [(content,)]


def test_a_file_that_nobody_needs_is_collected(office):
    with office.person() as env:
        attachment = env["ir.attachment"].create({"name": "b.txt", "raw": b"nobody's " * 1000})
        path = Path(attachment._full_path(attachment.store_fname))
        attachment.unlink()
    assert path.exists()
    with office.person() as env:
        env["ir.attachment"]._gc_file_store_unsafe()
    assert not path.exists()


# --- what leaves the system ---


def test_requests_that_went_out_are_listed(office, agent):
    import requests

    model, numbers = made(office, partner)
    with web_server() as address, agent.request() as env:
        env[model].browse(numbers).phone = "2"
        requests.get(f"{address}/read", timeout=5)
        requests.post(f"{address}/hook?token=secret", json={"key": "secret"}, timeout=5)
    told = agent.preview()
    assert told["effects"] == [{"kind": "request", "method": "POST", "host": "127.0.0.1", "path": "/hook"}]
    with office.person() as env:
        assert "127.0.0.1/hook" in env["loomworks.ai.operation.log"].browse(agent.last).effects_html


def test_requests_of_every_library_are_listed_once(office, agent):
    """By the host that they are for, also through a proxy."""
    import requests

    with web_server() as address, agent.request():
        url, own = f"{address}/hook?token=secret", address.removeprefix("http://")
        urllib.request.urlopen(url, timeout=5).close()
        requests.head(url, timeout=5)
        requests.post(url, timeout=5)
        urllib.request.urlopen(url, data=b"secret", timeout=5).close()
        with contextlib.suppress(xmlrpc.client.ProtocolError):  # that is no answer to such a call
            xmlrpc.client.ServerProxy(f"{address}/rpc").secret()
        put(own, "//twice/as/deep#part")
        requests.post("http://Far.example.test/there?key=secret", proxies={"http": address}, timeout=5)
        put(own, "/through", tunnel="farther.example.test")
    with office.person() as env:
        effects = env["loomworks.ai.operation.log"].search([], limit=1).effects
    assert sorted((one["method"], one["host"], one["path"]) for one in effects) == [
        ("POST", "127.0.0.1", "/hook"),
        ("POST", "127.0.0.1", "/hook"),
        ("POST", "127.0.0.1", "/rpc"),
        ("POST", "far.example.test", "/there"),
        ("PUT", "127.0.0.1", "/twice/…"),
        ("PUT", "farther.example.test", "/through"),
    ]


def put(host, path, tunnel=""):
    """Send a request by the library below all others."""
    with contextlib.closing(http.client.HTTPConnection(host, timeout=5)) as connection:
        if tunnel:
            connection.set_tunnel(tunnel, 80)
        connection.request("PUT", path, body=b"secret")
        assert connection.getresponse().status == 204


def test_a_request_that_only_sent_something_is_an_operation(office, agent):
    import requests

    with web_server() as address, agent.request() as env:
        assert env.user.name == "Robin"
        requests.post(f"{address}/hook", timeout=5)
    with office.person() as env:
        log = env["loomworks.ai.operation.log"].search([], limit=1)
        assert (log.state, log.row_changes, len(log.effects)) == ("done", 0, 1)


def test_scheduled_work_and_mail_sent_later_are_listed(office, agent):
    with agent.request() as env:
        env.ref("base.autovacuum_job").sudo()._trigger()
        queued = env["mail.mail"].sudo().create({"subject": "Hello", "body_html": "x", "email_to": "x@example.test"})
        number = queued.id
    assert [one["kind"] for one in agent.preview()["effects"]] == ["cron"]
    with office.person() as env:
        env["mail.mail"].sudo().browse(number).unlink()  # as the queue does with what it has sent
    assert [one["kind"] for one in agent.preview()["effects"]] == ["cron", "mail"]
    assert agent.undo()["done"]


def hook(env, model, address):
    """An action that tells another system of a record, once that is committed."""
    values = {"name": "Tell them", "state": "webhook", "webhook_url": f"{address}/hook?token=secret"}
    return env["ir.actions.server"].create({**values, "model_id": env["ir.model"]._get_id(model)})


def test_a_webhook_that_follows_the_commit_is_listed_and_what_it_told_of_is_undone(office, agent):
    model, (number,) = made(office, partner)
    with web_server() as address:
        _model, (action,) = made(office, lambda env: hook(env, model, address))
        before = office.state()

        def work(env):
            env[model].browse(number).phone = "2"
            env["ir.actions.server"].sudo().browse(action).with_context(active_model=model, active_id=number).run()

        agent.serve(work)
    assert agent.preview()["effects"] == [{"kind": "request", "method": "POST", "host": "127.0.0.1", "path": "/hook"}]
    assert agent.undo()["done"]
    assert differences(before, office.state()) == []


def test_a_text_message_that_was_sent_is_listed(office, agent):
    values = {"number": "+32470000000", "body": "Hello"}
    with web_server() as address:
        with office.person() as env:
            env["ir.config_parameter"].set_param("sms.endpoint", address)
        with agent.request() as env:
            env["sms.sms"].sudo().create(values).send(unlink_failed=False, unlink_sent=False)
    (effect,) = [one for one in agent.preview()["effects"] if one["kind"] == "request"]
    assert (effect["method"], effect["host"]) == ("POST", "127.0.0.1")
    assert effect["path"].startswith("/api/")


def test_a_payment_that_was_asked_for_is_listed(office, agent, monkeypatch):
    """As Odoo's providers do: each only says where to."""
    with office.person() as env:
        provider = env["payment.provider"].search([], limit=1).id
        there = type(env["payment.provider"])
    with web_server() as address, agent.request() as env:
        monkeypatch.setattr(there, "_build_request_url", lambda self, endpoint, **_others: f"{address}/{endpoint}")
        paid = env["payment.provider"].sudo().browse(provider)
        with contextlib.suppress(ValueError):  # what answers is no provider
            paid._send_api_request("POST", "v1/charges", json={"card": "secret"})
    with office.person() as env:
        (effect,) = env["loomworks.ai.operation.log"].search([], limit=1).effects
    assert effect == {"kind": "request", "method": "POST", "host": "127.0.0.1", "path": "/v1/…"}


LETTER = {
    "subject": "Hello",
    "body_html": "x",
    "email_from": "a@example.test",
    "email_to": "x@example.test",
}


def statements_of(monkeypatch, serve):
    """Return the statements that reach the database meanwhile, whichever cursor sends them."""
    from odoo.sql_db import PsycoConnection

    sent = []

    class Counting(psycopg2.extensions.cursor):
        def execute(self, query, *args):
            sent.append(query if isinstance(query, str) else repr(query))
            return super().execute(query, *args)

    def cursor(connection, *args, **options):
        return super(PsycoConnection, connection).cursor(*args, **{**options, "cursor_factory": Counting})

    with monkeypatch.context() as patch:
        patch.setattr(PsycoConnection, "cursor", cursor, raising=False)
        serve()
    return sent


def test_reading_costs_an_agent_one_small_question_more_than_a_person(office, agent, monkeypatch):
    from odoo.service.model import retrying

    model, numbers = made(office, partner)

    def work(env):
        assert env[model].browse(numbers).read(["name", "phone", "category_id"])
        assert env[model].search_count([]) > 0

    def serve_as_a_person():
        with office.cursor() as cr:
            env = agent.environment(cr)
            retrying(lambda: work(env), env)

    serve_as_a_person()  # what is cached from then on
    persons = statements_of(monkeypatch, serve_as_a_person)
    agents = statements_of(monkeypatch, lambda: agent.serve(work))
    assert len(persons) > 3
    assert agents[:-1] == persons
    assert "pg_current_xact_id_if_assigned() IS NULL" in agents[-1]  # nothing was written by a function either


@contextmanager
def mail_server(office, port):
    """Have Odoo send by a server on this port meanwhile; yield its number."""
    values = {"name": "Sink", "smtp_host": "127.0.0.1", "smtp_port": port, "smtp_encryption": "none"}
    with office.person() as env:
        server = env["ir.mail_server"].create(values)
        number = server.id
    yield number
    with office.person() as env:
        env["ir.mail_server"].browse(number).unlink()


def test_mail_that_was_sent_at_once_is_listed(office, agent):
    with mail_sink() as (port, taken), mail_server(office, port) as server, agent.request() as env:
        env["mail.mail"].sudo().create({**LETTER, "mail_server_id": server}).send()
    assert len(taken) == 1
    (effect,) = agent.preview()["effects"]
    assert (effect["kind"], effect["to"], effect["subject"]) == ("mail", "x@example.test", "Hello")
    with office.person() as env:
        assert "x@example.test" in env["loomworks.ai.operation.log"].browse(agent.last).effects_html
    with office.cursor() as cr:  # the agent learns that mail has left, and not to whom
        log = agent.environment(cr)["loomworks.ai.operation.log"].browse(agent.last)
        assert log.effects == [{"kind": "mail"}]
        assert "A mail was sent." in log.effects_html
        assert "example.test" not in log.effects_html
        assert log.preview_undo()["effects"] == [{"kind": "mail"}]
        cr.rollback()


def test_mail_that_follows_the_commit_of_a_tracked_change_is_listed_and_undone(office, agent):
    _model, (reader,) = made(office, lambda env: env["res.partner"].create({"name": "R", "email": "r@example.test"}))
    model, numbers = made(office, lambda env: env["crm.lead"].create({"name": "Deal", "type": "opportunity"}))
    with office.person() as env:
        env[model].browse(numbers).message_subscribe([reader], env.ref("crm.mt_lead_won").ids)
    before = office.state()
    with mail_sink() as (port, taken), mail_server(office, port):
        agent.serve(lambda env: env[model].browse(numbers).action_set_won())
    assert len(taken) == 1
    (effect,) = [one for one in agent.preview()["effects"] if one["kind"] == "mail"]
    assert "r@example.test" in effect["to"]
    with office.person() as env:
        env.cr.execute("SELECT count(*) FROM loomworks.entry WHERE operation = %s", [agent.last])
        assert env.cr.fetchone() == (env["loomworks.ai.operation.log"].browse(agent.last).row_changes,)
    report = agent.undo()
    assert report["done"], report["conflicts"]
    assert differences(before, office.state()) == []


def test_mail_that_the_queue_has_sent_since_is_listed_and_no_reason_to_refuse(office, agent):
    model, numbers = made(office, partner)
    before = office.state()
    with agent.request(mail_notify_force_send=False) as env:
        env[model].browse(numbers).message_post(body="Hello", partner_ids=numbers, message_type="comment")
    with mail_sink() as (port, taken), mail_server(office, port), office.person() as env:
        env["mail.mail"].sudo().process_email_queue()
    assert any(b"a@example.test" in one for one in taken)
    report = agent.undo()
    assert report["done"], report["conflicts"]
    assert [(one["kind"], one["queued"]) for one in report["effects"]] == [("mail", True)]
    assert differences(before, office.state()) == []


class Gateway:
    """Takes every text message."""

    PROVIDER_TO_SMS_FAILURE_TYPE = {}

    def _send_sms_batch(self, messages, **_options):
        numbers = [one for message in messages for one in message["numbers"]]
        return [{"uuid": one["uuid"], "state": "success"} for one in numbers]


def test_a_text_message_that_the_queue_has_sent_since_is_listed_and_no_reason_to_refuse(office, agent):
    model, numbers = made(office, partner)
    before = office.state()
    with agent.request() as env:
        told = {"partner_ids": numbers, "sms_numbers": ["+32470000000"], "put_in_queue": True}
        env[model].browse(numbers)._message_sms("Your order is ready", **told)
    assert [one["kind"] for one in agent.preview()["effects"]] == ["cron"]
    with office.person() as env:
        env["sms.sms"].sudo().with_context(sms_api=Gateway())._process_queue()
    report = agent.undo()
    assert report["done"], report["conflicts"]
    _cron, *effects = report["effects"]
    assert {(one["kind"], one["queued"]) for one in effects} == {("sms", True)}
    assert "+32470000000" in [one["to"] for one in effects]
    assert differences(before, office.state()) == []


def test_scheduled_work_that_was_rolled_back_is_not_listed(office, agent):
    model, numbers = made(office, partner)
    with agent.request() as env:
        env.ref("base.autovacuum_job").sudo()._trigger()
        env.cr.rollback()
        env[model].browse(numbers).phone = "2"
    assert agent.state_of() == "done"
    assert agent.preview()["effects"] == []
