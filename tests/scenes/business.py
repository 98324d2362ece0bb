"""What people and agents do to a company's documents: small steps, each of which may be refused."""

import base64
import datetime as dt

DAY = dt.date(2026, 3, 1)


class Company:
    """What documents are made of; it is there before the first step, and no step changes it."""

    def __init__(self, env):
        env["res.lang"]._activate_lang("fr_FR")
        self.partner = env["res.partner"].create({"name": "Azure Interior", "email": "azure@example.test"}).id
        self.products = env["product.product"].create(
            [
                {"name": "Chair", "type": "consu", "is_storable": True, "list_price": 40},
                {"name": "Advice", "type": "service", "list_price": 90, "invoice_policy": "order"},
            ]
        )
        location = env["stock.warehouse"].search([], limit=1).lot_stock_id
        env["stock.quant"]._update_available_quantity(self.products[0], location, 10_000)
        self.products = self.products.ids
        self.project = env["project.project"].create({"name": "Renovation"}).id
        self.tags = env["project.tags"].create([{"name": f"tag {number}"} for number in range(3)]).ids
        self.stages = env["crm.stage"].search([]).ids

    def order(self, env, word):
        lines = [(0, 0, {"product_id": product, "product_uom_qty": 2}) for product in self.products]
        return env["sale.order"].create({"partner_id": self.partner, "client_order_ref": word, "order_line": lines})

    def bill(self, env, word):
        line = {"name": word, "quantity": 2, "price_unit": 50.1}
        values = {"move_type": "out_invoice", "partner_id": self.partner, "invoice_date": DAY}
        return env["account.move"].create({**values, "invoice_line_ids": [(0, 0, line)]})

    def purchase(self, env, word):
        line = {"product_id": self.products[0], "product_qty": 5, "price_unit": 7}
        values = {"partner_id": self.partner, "partner_ref": word, "order_line": [(0, 0, line)]}
        return env["purchase.order"].create(values)

    def lead(self, env, word):
        return env["crm.lead"].create({"name": word, "type": "lead", "expected_revenue": 1000})

    def task(self, env, word):
        return env["project.task"].create({"name": word, "project_id": self.project, "tag_ids": self.tags[:1]})

    def employee(self, env, word):
        return env["hr.employee"].create({"name": word})

    def partner_of(self, env, word):
        return env["res.partner"].create({"name": word, "child_ids": [(0, 0, {"name": f"{word}'s child"})]})

    def product(self, env, word):
        return env["product.product"].create({"name": word, "standard_price": 3})

    def attachment(self, env, word):
        values = {"name": word, "datas": base64.b64encode(word.encode() * 900)}
        return env["ir.attachment"].create({**values, "res_model": "res.partner", "res_id": self.partner})

    # model -> what makes a record of it
    MAKERS = {
        "sale.order": order,
        "account.move": bill,
        "purchase.order": purchase,
        "crm.lead": lead,
        "project.task": task,
        "hr.employee": employee,
        "res.partner": partner_of,
        "product.product": product,
        "ir.attachment": attachment,
    }


def number_in(word):
    return int("".join(letter for letter in word if letter.isdigit()))


def receive(records, _word):
    records.button_confirm()
    _validate(records.picking_ids)


def deliver(records, _word):
    _validate(records.picking_ids)


def _validate(pickings):
    for move in pickings.move_ids:
        move.quantity = move.product_uom_qty
    pickings.move_ids.picked = True
    pickings.button_validate()


def pay(records, _word):
    wizard = records.env["account.payment.register"].with_context(active_model="account.move", active_ids=records.ids)
    wizard.create({}).action_create_payments()


def add_line(records, word):
    product = records.order_line.product_id[:1]
    records.order_line = [(0, 0, {"product_id": product.id, "name": word, "product_uom_qty": number_in(word)})]


def raw(statement):
    """Return a step of plain SQL."""

    def step(records, word):
        records.env.cr.execute(statement, {"ids": tuple(records.ids), "word": word, "number": number_in(word)})
        records.env.invalidate_all()

    return step


def say(records, word):
    records.message_post(body=word)


def archive(records, _word):
    records.action_archive()


def unlink(records, _word):
    records.unlink()


# model -> what may be done to a record of it; the word is used once, so that no value comes back
STEPS = {
    "sale.order": (
        lambda records, _word: records.action_confirm(),
        lambda records, _word: records._action_cancel(),
        lambda records, _word: records.action_draft(),
        lambda records, word: records.write({"client_order_ref": word}),
        lambda records, word: records.order_line[:1].write({"product_uom_qty": number_in(word)}),
        lambda records, _word: records.order_line[-1:].unlink(),
        lambda records, _word: records._create_invoices(),
        add_line,
        deliver,
        unlink,
    ),
    "account.move": (
        lambda records, _word: records.action_post(),
        lambda records, _word: records.button_draft(),
        lambda records, _word: records.button_cancel(),
        lambda records, word: records.write({"ref": word}),
        lambda records, word: records.invoice_line_ids[:1].write({"price_unit": number_in(word)}),
        pay,
        say,
        unlink,
    ),
    "purchase.order": (
        lambda records, _word: records.button_confirm(),
        lambda records, _word: records.button_cancel(),
        lambda records, word: records.write({"partner_ref": word}),
        lambda records, word: records.order_line[:1].write({"product_qty": number_in(word)}),
        receive,
    ),
    "crm.lead": (
        lambda records, _word: records.convert_opportunity(records.env["res.partner"]),
        lambda records, _word: records.action_set_won(),
        lambda records, _word: records.action_set_lost(),
        lambda records, word: records.write({"expected_revenue": number_in(word)}),
        lambda records, word: records.write({"tag_ids": [(0, 0, {"name": word})]}),
        say,
        archive,
        unlink,
    ),
    "project.task": (
        lambda records, _word: records.write({"state": "1_done"}),
        lambda records, word: records.write({"tag_ids": [(0, 0, {"name": word})]}),
        lambda records, _word: records.write({"tag_ids": [(5, 0, 0)]}),
        lambda records, _word: records.copy(),
        lambda records, word: records.write({"child_ids": [(0, 0, {"name": word})]}),
        raw("UPDATE project_task SET description = %(word)s WHERE id IN %(ids)s"),
        archive,
        unlink,
    ),
    "hr.employee": (
        lambda records, word: records.write({"job_title": word, "work_phone": word}),
        lambda records, word: records.create({"name": word, "parent_id": records.id}),
        archive,
        unlink,
    ),
    "res.partner": (
        lambda records, word: records.write({"phone": word}),
        lambda records, word: records.write({"name": word}),
        lambda records, word: records.write({"category_id": [(0, 0, {"name": word})]}),
        raw("UPDATE res_partner SET function = %(word)s, color = %(number)s WHERE id IN %(ids)s"),
        say,
        archive,
        unlink,
    ),
    "product.product": (
        lambda records, word: records.with_context(lang="fr_FR").write({"name": word}),
        lambda records, word: records.write({"standard_price": number_in(word)}),
        lambda records, word: records.write({"name": word, "list_price": number_in(word)}),
        archive,
        unlink,
    ),
    "ir.attachment": (
        lambda records, word: records.write({"raw": word.encode() * 900}),
        lambda records, word: records.write({"description": word}),
        unlink,
    ),
}
