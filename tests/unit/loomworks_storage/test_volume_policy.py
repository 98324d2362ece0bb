"""Thresholds with an edge that does not flutter, and steps of growth below a ceiling."""

import pytest
from addons.loomworks_storage.volumes.policy import COARSE, Rule, level, next_size
from hypothesis import given
from hypothesis import strategies as st

MI = 1024**2


@given(st.lists(st.floats(79, 82), min_size=1, max_size=50))
def test_volume_at_its_edge_warns_once(percents):
    levels, now = [], 0
    for percent in percents:
        now = level(percent, now)
        levels.append(now)
    assert sum(after > before for before, after in zip([0, *levels], levels, strict=False)) <= 1


@given(st.floats(0, 100), st.sampled_from([0, 80, 90]))
def test_level_is_never_below_what_the_percentage_asks_for(percent, before):
    assert level(percent, before) >= (90 if percent >= 90 else 80 if percent >= 80 else 0)


@pytest.mark.parametrize(
    ("size", "percent", "rule", "wanted"),
    [
        (10 * COARSE, 79.9, Rule(80, 20, 50 * COARSE), None),
        (10 * COARSE, 80, Rule(80, 20, 50 * COARSE), 12 * COARSE),
        (5 * COARSE, 95, Rule(80, 10, 50 * COARSE), 6 * COARSE),  # 5.5: a whole step
        (10 * COARSE, 95, Rule(80, 100, 15 * COARSE), 15 * COARSE),
        (15 * COARSE, 95, Rule(80, 100, 15 * COARSE), None),
        (20 * COARSE, 95, Rule(80, 100, 15 * COARSE), None),
        (512 * MI, 95, Rule(80, 20, COARSE), 640 * MI),
        (10 * COARSE, 99, Rule(), None),
        (10 * COARSE, 99, Rule(80, 20, 0), None),
    ],
)
def test_next_size(size, percent, rule, wanted):
    assert next_size(size, percent, rule) == wanted
