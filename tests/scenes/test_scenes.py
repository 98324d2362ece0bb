"""Whole days of an agent's work in Odoo's applications, each taken back, done again and taken back once more."""

import base64
import datetime as dt

import health
import pytest
from whole_state import differences

LINES = 5_000


def order(env, quantity=3):
    """A quotation for two products, one of them in stock."""
    products = env["product.product"].create(
        [
            {"name": "Chair", "type": "consu", "is_storable": True, "list_price": 40},
            {"name": "Advice", "type": "service", "list_price": 90, "invoice_policy": "order"},
        ]
    )
    partner = env["res.partner"].create({"name": "Azure Interior"})
    lines = [(0, 0, {"product_id": product.id, "product_uom_qty": quantity}) for product in products]
    return env["sale.order"].create({"partner_id": partner.id, "order_line": lines})


def bill(env, move_type="out_invoice"):
    """An invoice of one line."""
    partner = env["res.partner"].create({"name": "Deco Addict"})
    return env["account.move"].create(
        {
            "move_type": move_type,
            "partner_id": partner.id,
            "invoice_date": dt.date(2026, 3, 1),
            "invoice_line_ids": [(0, 0, {"name": "Work", "quantity": 2, "price_unit": 50.1})],
        }
    )


def confirmed(records):
    records.action_confirm()
    return records


def posted(records):
    records.action_post()
    return records


def deliver(records):
    records.action_confirm()
    for move in records.picking_ids.move_ids:
        move.quantity = move.product_uom_qty
    records.picking_ids.move_ids.picked = True
    records.picking_ids.button_validate()


def pay(records):
    wizard = records.env["account.payment.register"].with_context(active_model="account.move", active_ids=records.ids)
    wizard.create({}).action_create_payments()


def purchase(env):
    product = env["product.product"].create({"name": "Wood", "type": "consu", "is_storable": True})
    partner = env["res.partner"].create({"name": "Wood Corner"})
    line = {"product_id": product.id, "product_qty": 5, "price_unit": 7}
    return env["purchase.order"].create({"partner_id": partner.id, "order_line": [(0, 0, line)]})


def project(env):
    return env["project.project"].create({"name": "Renovation"})


def attachment(env, content):
    partner = env["res.partner"].search([], limit=1)
    values = {"name": "a.txt", "datas": base64.b64encode(content), "res_model": "res.partner", "res_id": partner.id}
    return env["ir.attachment"].create(values)


def two_languages(env):
    env["res.lang"]._activate_lang("fr_FR")
    return env["product.template"]


def numbers(env):
    sequence = env["ir.sequence"].create({"name": "Ranged", "use_date_range": True})
    for day in ("2026-01-15", "2025-01-15"):
        sequence.with_context(ir_sequence_date=day).next_by_id()
    return sequence


def plan(env):
    return env["account.analytic.plan"].sudo().search([], limit=1)


def reverse(records):
    wizard = records.env["account.move.reversal"].with_context(active_model="account.move", active_ids=records.ids)
    wizard.create({"journal_id": records.journal_id.id, "reason": "wrong price"}).refund_moves()


def send_back(records):
    picking = records.picking_ids
    wizard = records.env["stock.return.picking"].with_context(active_model="stock.picking", active_id=picking.id)
    returned = wizard.create({"picking_id": picking.id})
    returned.product_return_moves.write({"quantity": 1})
    returned.action_create_returns()


def delivered(records):
    deliver(records)
    return records


def pay_in_advance(records):
    wizard = records.env["sale.advance.payment.inv"].with_context(active_model="sale.order", active_ids=records.ids)
    wizard.create({"advance_payment_method": "percentage", "amount": 30}).create_invoices()


def compose(records):
    composer = records.env["mail.compose.message"].with_context(
        default_model="res.partner", default_res_ids=records.ids
    )
    message = composer.create({"body": "<p>Hello</p>", "subject": "Hello", "composition_mode": "comment"})
    message._action_send_mail()


# name -> what people prepare, and what the agent then does to it
SCENES = {
    "partners are created, changed and archived": (
        lambda env: env["res.partner"].create(
            [{"name": f"P{number}", "email": f"p{number}@example.test"} for number in range(9)]
        ),
        lambda records: (
            records[:3].write({"phone": "+1 555", "street": "Elm Street"}),
            records[3:6].action_archive(),
            records.env["res.partner"].create({"name": "New", "parent_id": records[0].id, "type": "invoice"}),
            records[6:].unlink(),
        ),
    ),
    "an order is confirmed": (order, lambda records: records.action_confirm()),
    "an order is confirmed and cancelled": (
        order,
        lambda records: (records.action_confirm(), records._action_cancel()),
    ),
    "an order is made, confirmed and delivered": (
        lambda env: env["sale.order"],
        lambda records: deliver(order(records.env)),
    ),
    "an order is invoiced": (
        lambda env: confirmed(order(env)),
        lambda records: records._create_invoices(),
    ),
    "an order is deleted": (order, lambda records: records.unlink()),
    "an invoice is posted": (bill, lambda records: records.action_post()),
    "an invoice is posted and reset": (
        lambda env: posted(bill(env)),
        lambda records: (records.button_draft(), records.button_cancel()),
    ),
    "an invoice is posted and paid": (bill, lambda records: pay(posted(records))),
    "an invoice is reversed by a wizard": (lambda env: posted(bill(env)), reverse),
    "a delivery is sent back by a wizard": (lambda env: delivered(order(env)), send_back),
    "a down payment is invoiced by a wizard": (lambda env: confirmed(order(env)), pay_in_advance),
    "a purchase is confirmed": (
        purchase,
        lambda records: records.button_confirm(),
    ),
    "a lead is won": (
        lambda env: env["crm.lead"].create({"name": "Big deal", "type": "opportunity", "expected_revenue": 1000}),
        lambda records: (records.action_set_won(), records.message_post(body="Hurray")),
    ),
    "a lead is lost and deleted": (
        lambda env: env["crm.lead"].create({"name": "Small deal", "type": "opportunity"}),
        lambda records: (records.action_set_lost(), records.unlink()),
    ),
    "tasks are moved, tagged and deleted": (
        lambda env: env["project.task"].create(
            [
                {"name": f"T{number}", "project_id": project(env).id, "tag_ids": [(0, 0, {"name": f"topic {number}"})]}
                for number in range(4)
            ]
        ),
        lambda records: (
            records[:2].write({"state": "1_done", "tag_ids": [(5, 0, 0)]}),
            records[2].copy(),
            records[3].unlink(),
        ),
    ),
    "a project is deleted": (
        lambda env: env["project.task"].create({"name": "T", "project_id": project(env).id}).project_id,
        lambda records: (records.task_ids.unlink(), records.unlink()),
    ),
    "employees are hired and leave": (
        lambda env: env["hr.employee"].create({"name": "Ada", "work_email": "ada@example.test"}),
        lambda records: (
            records.write({"job_title": "Engineer"}),
            records.env["hr.employee"].create({"name": "Bob", "parent_id": records.id}),
            records.action_archive(),
        ),
    ),
    "attachments are added and deleted": (
        lambda env: attachment(env, b"before" * 5000),
        lambda records: (attachment(records.env, b"after" * 5000), records.unlink()),
    ),
    "translations are written": (
        lambda env: two_languages(env).create({"name": "Chair"}),
        lambda records: (
            records.with_context(lang="fr_FR").write({"name": "Chaise"}),
            records.write({"name": "Armchair"}),
        ),
    ),
    "values that depend on the company": (
        lambda env: env["product.product"].create({"name": "Stool", "standard_price": 3}),
        lambda records: records.write({"standard_price": 9.99}),
    ),
    "raw SQL": (
        lambda env: env["res.partner"].create([{"name": f"S{number}"} for number in range(20)]),
        lambda records: records.env.cr.execute(
            "UPDATE res_partner SET comment = 'x' || id WHERE id IN %s", [tuple(records.ids)]
        ),
    ),
    "partners are merged": (
        lambda env: env["res.partner"].create([{"name": "Twin", "email": "twin@example.test"} for _number in range(3)]),
        lambda records: records.env["base.partner.merge.automatic.wizard"].sudo()._merge(records.ids, records[0]),
    ),
    "many lines are imported": (
        lambda env: env["res.partner"],
        lambda records: records.load(
            ["name", "email", "is_company"],
            [[f"Import {number}", f"i{number}@example.test", "1"] for number in range(LINES)],
        ),
    ),
    "a number sequence is created": (
        lambda env: env["ir.sequence"],
        lambda records: records.sudo().create({"name": "Numbers", "code": "scene.numbers"}).next_by_id(),
    ),
    "a number sequence with ranges gets another step, and no gaps": (
        numbers,
        lambda records: records.sudo().write({"implementation": "no_gap", "number_increment": 3}),
    ),
    "a number sequence with ranges is set back": (
        numbers,
        lambda records: (
            records.sudo().write({"number_next": 1}),
            records.sudo().date_range_ids.write({"number_next": 1}),
        ),
    ),
    "a number sequence with ranges is deleted": (
        numbers,
        lambda records: records.sudo().unlink(),
    ),
    "an analytic account is used": (
        lambda env: env["account.analytic.account"].sudo().create({"name": "A", "plan_id": plan(env).id}),
        lambda records: (
            records.env["account.analytic.line"].sudo().create({"name": "L", "account_id": records.id, "amount": 5})
        ),
    ),
    "a message is composed": (
        lambda env: env["res.partner"].create({"name": "Reader", "email": "reader@example.test"}),
        compose,
    ),
}


@pytest.mark.parametrize("name", SCENES)
def test_undone_it_is_as_if_it_had_never_happened(office, agent, name):
    prepare, work = SCENES[name]
    with office.person() as env:
        records = prepare(env)
        model, numbers = records._name, records.ids
    before = office.state()
    with office.person() as env:
        nowhere = health.dangling(env)
    with agent.request() as env:
        work(env[model].browse(numbers))
    done, first = agent.last, office.state()
    assert agent.state_of(done) == "done"
    assert differences(before, first), "the agent has changed nothing"

    report = agent.undo(done)
    assert report["done"], (report["refused"], report["conflicts"])
    assert differences(before, office.state()) == []
    assert agent.state_of(done) == "rolled_back"

    report = agent.undo(done, kind="redo")
    assert report["done"], (report["refused"], report["conflicts"])
    assert differences(first, office.state()) == []
    assert agent.state_of(done) == "done"
    health.assert_sound(office, [done], nowhere)

    report = agent.undo(done)
    assert report["done"], (report["refused"], report["conflicts"])
    assert differences(before, office.state()) == []
    health.assert_sound(office, [done], nowhere)


@pytest.mark.parametrize("others", [True, False])
def test_it_is_noticed_where_nothing_can_be_created_after_an_undo(office, agent, others):
    """A foreign key that no new row keeps, on the table of a model whose only creation was undone."""
    with agent.request() as env:
        gone = env["crm.lost.reason"].create({"name": "Gone"}).id
    assert agent.undo()["done"]
    with office.person() as env:
        env["crm.lost.reason"].search([]).unlink()
        if others:
            env["crm.lost.reason"].create({"name": "Other"})
        health.assert_usable(env(su=True), {"crm_lost_reason": [gone]})
        env.flush_all()
        env.cr.execute(
            """
            ALTER TABLE crm_lost_reason ADD COLUMN nobody int DEFAULT 0;
            ALTER TABLE crm_lost_reason ADD FOREIGN KEY (nobody) REFERENCES res_partner NOT VALID
            """
        )
        with pytest.raises(AssertionError, match="crm_lost_reason_nobody_fkey"):
            health.assert_usable(env(su=True), {"crm_lost_reason": [gone]})
        env.cr.rollback()
