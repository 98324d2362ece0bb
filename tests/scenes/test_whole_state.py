"""The oracle of the scenes: whatever changes a table, it tells the same as reading every row does."""

import re
from pathlib import Path

import pytest
import whole_state
from whole_state import differences

TABLE = """
    CREATE TABLE public.seen (id int PRIMARY KEY, name text);
    CREATE TRIGGER "00_loomworks_capture" BEFORE UPDATE ON public.seen
        WHEN (false) EXECUTE FUNCTION suppress_redundant_updates_trigger();
    INSERT INTO public.seen SELECT g, 'name ' || g FROM generate_series(1, 50) g
"""
CHANGES = (
    "UPDATE public.seen SET name = 'other' WHERE id = 7",
    "UPDATE public.seen SET name = 'name 7' WHERE id = 7",
    "UPDATE public.seen SET id = id",
    "DELETE FROM public.seen WHERE id = 9",
    "INSERT INTO public.seen VALUES (9, 'name 9')",
    "ALTER TABLE public.seen ADD COLUMN more int DEFAULT 3",
    "ALTER TABLE public.seen ALTER COLUMN more TYPE text",
    "ALTER TABLE public.seen DROP COLUMN more",
    "DELETE FROM public.seen",
)
DOCUMENTED = Path(__file__).resolve().parents[2] / "docs/operations/ai-operations.md"
TABLES = """
    SELECT n.nspname, c.relname, EXISTS (
        SELECT FROM pg_trigger WHERE tgrelid = c.oid AND tgname = '00_loomworks_capture' AND tgenabled = 'O')
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
      AND n.nspname NOT IN ('pg_catalog', 'information_schema')
"""


@pytest.fixture
def cr(office):
    """A cursor of which nothing is kept."""
    from odoo.modules.registry import Registry

    with Registry(office.database).cursor() as one:
        one.execute(TABLE)
        yield one
        one.rollback()


def from_scratch(cr, monkeypatch):
    """Return what it tells when it knows nothing."""
    with monkeypatch.context() as nothing:
        nothing.setattr(whole_state, "_known", {})
        return whole_state.whole_state(cr)


def test_it_tells_what_reading_every_row_tells(cr, monkeypatch):
    for change in CHANGES:
        cr.execute(change)
        assert whole_state.whole_state(cr) == from_scratch(cr, monkeypatch), change


def test_versions_are_not_content(cr):
    before = whole_state.whole_state(cr)
    cr.execute("UPDATE public.seen SET name = 'other' WHERE id = 7")
    assert differences(before, whole_state.whole_state(cr)) == ["public.seen"]
    cr.execute("UPDATE public.seen SET name = 'name 7' WHERE id = 7")
    assert differences(before, whole_state.whole_state(cr)) == []


def wizards(env):
    """Return the tables of wizards, and those that link only them to something."""
    found = {model._table for model in env.values() if model._transient}
    for model in env.values():
        if model._transient:
            found |= {field.relation for field in model._fields.values() if field.type == "many2many" and field.store}
    return found


def documented():
    """Return the tables of which the manual says that they are not recorded."""
    (paragraph,) = [one for one in DOCUMENTED.read_text().split("\n\n") if one.startswith("**Not recorded.**")]
    return set(re.findall(r"`(\w+)`", paragraph))


def test_all_is_recorded_but_what_is_documented(office):
    """The scenes look at what is recorded only: nothing may be missing there that nobody has decided to leave out."""
    from odoo.addons.loomworks_ai.journal import rules

    with office.person() as env:
        env.cr.execute(TABLES)
        tables = env.cr.fetchall()
        without = {name for schema, name, recorded in tables if schema == "public" and not recorded}
        there = {name for schema, name, _recorded in tables if schema == "public"}
        assert without == (documented() | wizards(env)) & there
        assert {schema for schema, _name, _recorded in tables} == {"public", "loomworks"}
        assert not any(recorded for schema, _name, recorded in tables if schema == "loomworks")
    assert documented() == rules.LEFT_OUT | rules.SECRET_TABLES
