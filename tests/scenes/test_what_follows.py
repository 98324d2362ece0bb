"""What follows from an undo in rows that it does not name: places in trees, totals of which only parts come back."""

import pytest
from odoo.exceptions import UserError
from test_scenes import order
from test_with_people import made, read
from whole_state import differences

WRONG = """
    WITH RECURSIVE tree AS (
        SELECT id, id || '/' AS path FROM product_category WHERE parent_id IS NULL
        UNION ALL SELECT c.id, tree.path || c.id || '/' FROM product_category c JOIN tree ON c.parent_id = tree.id
    )
    SELECT c.id, c.parent_path, tree.path FROM product_category c LEFT JOIN tree USING (id)
     WHERE c.parent_path IS DISTINCT FROM tree.path
"""


@pytest.fixture
def three(office):
    """Three categories of products: the numbers of two roots and of one below the second."""
    _model, numbers = made(
        office, lambda env: env["product.category"].create([{"name": name} for name in ("One", "Two", "Three")])
    )
    return numbers


def category(env, number):
    return env["product.category"].browse(number)


def wrong_paths(office):
    with office.person() as env:
        env.cr.execute(WRONG)
        return env.cr.fetchall()


def test_what_was_put_below_it_since_goes_back_with_it(office, agent, three):
    one, two, _three = three
    with agent.request() as env:
        category(env, one).parent_id = two
    with office.person() as env:
        child = env["product.category"].create({"name": "Child", "parent_id": one}).id
    assert agent.undo()["done"]
    assert wrong_paths(office) == []
    with office.person() as env:
        below = env["product.category"].search([("id", "child_of", one)]).ids
        assert sorted(below) == sorted([one, child])
        assert child not in env["product.category"].search([("id", "child_of", two)]).ids
    assert agent.undo(kind="redo")["done"]
    assert wrong_paths(office) == []
    assert read(office, "product.category", [child], "complete_name") == [("Two / One / Child",)]


@pytest.mark.parametrize("act", ["deleted", "created"])
def test_what_comes_back_is_where_its_parent_is_now(office, agent, three, act):
    one, two, three = three
    if act == "deleted":
        with office.person() as env:
            category(env, one).parent_id = two
        with agent.request() as env:
            category(env, one).unlink()
    else:
        with agent.request() as env:
            env["product.category"].create({"name": "New", "parent_id": two})
        assert agent.undo()["done"]
    with office.person() as env:
        category(env, two).parent_id = three
    assert agent.undo(kind="redo" if act == "created" else "undo")["done"]
    assert wrong_paths(office) == []


@pytest.mark.parametrize("choice", ["refuse", "theirs", "ours"])
def test_a_place_that_was_moved_since_is_no_conflict(office, agent, three, choice):
    one, two, three = three
    with agent.request() as env:
        category(env, one).parent_id = two
    with office.person() as env:
        category(env, two).parent_id = three
    assert agent.undo(on_conflict=choice)["done"]
    assert wrong_paths(office) == []
    assert read(office, "product.category", [one], "parent_id", "complete_name")[0][1] == "One"


def test_nothing_is_put_below_itself(office, agent, three):
    one, two, _three = three
    with office.person() as env:
        category(env, one).parent_id = two
    with agent.request() as env:
        category(env, one).parent_id = False
    with office.person() as env:
        category(env, two).parent_id = one
    before = office.state()
    for look in (agent.preview, agent.undo):
        with pytest.raises(UserError, match="would be below itself"):
            look()
    assert differences(before, office.state()) == []
    assert wrong_paths(office) == []


def total(office, model, numbers):
    """Return what an order says that it comes to, and what its lines do."""
    with office.person() as env:
        sale = env[model].browse(numbers)
        return sale.amount_untaxed, sum(sale.order_line.mapped("price_subtotal"))


@pytest.fixture
def dearer(office, agent):
    """An order of which the agent has made a line dearer; the order's model and number, and the line's."""
    model, numbers = made(office, order)
    with agent.request() as env:
        line = env[model].browse(numbers).order_line[0]
        line.write({"price_unit": 500, "name": "The agent's words"})
        number = line.id
    return model, numbers, number


def test_a_total_follows_a_line_that_comes_back_alone(office, agent, dearer):
    model, numbers, line = dearer
    before = total(office, model, numbers)
    report = agent.undo(records=[{"model": "sale.order.line", "id": line}])
    assert report["done"]
    now = total(office, model, numbers)
    assert now[0] == now[1] != before[0]


def test_a_total_stays_where_its_line_does(office, agent, dearer):
    model, numbers, _line = dearer
    before = total(office, model, numbers)
    assert agent.undo(records=[{"model": model, "id": numbers[0]}])["done"]
    assert total(office, model, numbers) == before


@pytest.mark.parametrize("choice", ["skip", "theirs"])
def test_a_total_is_that_of_the_lines_whatever_is_left_to_others(office, agent, dearer, choice):
    model, numbers, line = dearer
    with office.person() as env:
        env["sale.order.line"].browse(line).name = "A person's words"
    report = agent.undo(on_conflict=choice)
    assert report["done"]
    now = total(office, model, numbers)
    assert now[0] == now[1]
    assert (now[0] > 1000) == (choice == "skip")
    assert agent.undo(kind="redo")["done"]
    now = total(office, model, numbers)
    assert now[0] == now[1]


def rows_of(shown, model):
    """Return what a preview shows of the records of a model."""
    return [row for table in shown["changes"] if table["model"] == model for row in table["rows"]]


def said_in(shown):
    """Return what a preview says of all fields."""
    return [field for table in shown["changes"] for row in table["rows"] for field in row["fields"]]


def test_a_preview_shows_what_follows_as_well(office, agent):
    model, numbers = made(office, order)
    with agent.request() as env:
        env[model].browse(numbers).order_line[0].product_uom_qty = 10
    with office.person() as env:
        product = env["product.product"].create({"name": "Lamp", "list_price": 100})
        env[model].browse(numbers).order_line = [(0, 0, {"product_id": product.id, "product_uom_qty": 1})]
    (row,) = rows_of(agent.preview(), model)
    told = {one["label"]: one for one in row["fields"]}["Untaxed Amount"]
    assert agent.undo()["done"]
    ((amount,),) = read(office, model, numbers, "amount_untaxed")
    assert float(told["after"].replace(",", "")) == amount != float(told["before"].replace(",", ""))


def test_a_value_of_a_company_is_said_in_its_own_words(office, agent):
    with office.person() as env:
        other = env["res.company"].create({"name": "Another company"})
        product = env["product.product"].create({"name": "Lamp", "standard_price": 5})
        product.with_company(other).standard_price = 77.625
        partner = env["res.partner"].create({"name": "Azure"})
        numbers = product.id, partner.id
    with agent.request() as env:
        env["product.product"].browse(numbers[0]).standard_price = 6
        env["res.partner"].browse(numbers[1]).trust = "good"
        env["product.category"].create({"name": "With defaults"})
    number = agent.last
    with office.cursor() as cr:
        own = agent.environment(cr)["loomworks.ai.operation.log"].browse(number).preview_undo()
        cr.rollback()
    assert {"label": "Cost", "before": "6.0", "after": "5.0"} in said_in(own)
    assert not any("{" in f"{one['before']}{one['after']}" for one in said_in(own))
    assert "77.6" not in str(own)
    assert rows_of(own, "product.category")
    (cost,) = [one for one in said_in(agent.preview(number)) if one["label"] == "Cost"]
    assert "Another company: 77.6" in cost["before"]  # of a person of both
    with office.person() as env:
        env["res.partner"].browse(numbers[1]).trust = "bad"
    report = agent.undo(number)
    assert not report["done"]
    assert "Bad Debtor" in report["conflicts"][0]["message"]
