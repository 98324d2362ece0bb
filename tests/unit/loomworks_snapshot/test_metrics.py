"""Prometheus' text format, and the alerts on it."""

import re
from pathlib import Path

import pytest
import yaml
from addons.loomworks_snapshot.backup.metrics import COUNTER, Metric, render

REPOSITORY = Path(__file__).resolve().parents[3]
ALERTS = REPOSITORY / "infrastructure/monitoring/alerts.yaml"
RULES = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
OUR_METRIC = re.compile(r"\bloomworks_[a-z_]+")


def test_page_names_help_and_type_before_the_values():
    metric = Metric("loomworks_probe_total", "What it is.", COUNTER)
    metric.add(3, server="one")
    metric.add(2.5, server="two", kind="full")
    assert render([metric]) == (
        "# HELP loomworks_probe_total What it is.\n"
        "# TYPE loomworks_probe_total counter\n"
        'loomworks_probe_total{server="one"} 3\n'
        'loomworks_probe_total{server="two",kind="full"} 2.5\n'
    )


def test_names_are_escaped():
    metric = Metric("probe", "What.")
    metric.add(1, server='a"b\\c\nd')
    assert r'{server="a\"b\\c\nd"}' in render([metric])


def test_what_is_not_known_is_left_out():
    metric = Metric("probe", "What.")
    metric.add(None, server="one")
    assert metric.samples == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_alert_says_what_to_do(rule):
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["annotations"]["summary"]
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    text = (REPOSITORY / "docs" / page.partition("/docs/")[2]).read_text()
    assert anchor in {re.sub(r"[^a-z0-9 -]", "", line[3:].lower()).replace(" ", "-") for line in text.splitlines()}


def test_alerts_are_on_figures_that_there_are():
    source = "".join(path.read_text() for path in (REPOSITORY / "loomworks_snapshot/models").glob("*_metrics.py"))
    used = {name for rule in RULES for name in OUR_METRIC.findall(rule["expr"])}
    assert used == set(OUR_METRIC.findall(source)) & used
    assert used
