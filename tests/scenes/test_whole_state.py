"""The oracle of the scenes: whatever changes a table, it tells the same as reading every row does."""

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
