"""Where the name ``postgres`` leads."""

from types import SimpleNamespace

import pytest
from addons.loomworks_client.private_channels import VARIABLE, AmbiguousDatabase, activate, private


def stock(name, readonly=False):
    return name, {"database": name, "host": "replica" if readonly else "primary", "application_name": "odoo-7"}


def test_postgres_leads_to_the_only_database_and_keeps_its_name():
    name, info = private(stock, lambda: ["t_acme"])("postgres")
    assert name == "postgres"
    assert info == {"database": "t_acme", "host": "primary", "application_name": "odoo-7-channels"}


def test_other_databases_are_reached_as_ever():
    assert private(stock, lambda: ["t_acme"])("t_acme", True) == stock("t_acme", True)


def test_arguments_are_passed_on():
    _, info = private(stock, lambda: ["t_acme"])("postgres", readonly=True)
    assert info["host"] == "replica"


def test_long_application_name_is_cut_so_that_the_suffix_stays():
    def long(name):
        return name, {"database": name, "application_name": "x" * 63}

    _, info = private(long, lambda: ["t_acme"])("postgres")
    assert len(info["application_name"]) == 63
    assert info["application_name"].endswith("-channels")


@pytest.mark.parametrize("names", [[], ["a", "b"]])
def test_not_exactly_one_database_is_refused(names):
    with pytest.raises(AmbiguousDatabase, match="exactly one db_name"):
        private(stock, lambda: names)("postgres")


@pytest.mark.parametrize(("value", "expected"), [("1", "t_acme"), ("0", "postgres"), (None, "postgres")])
def test_environment_decides(monkeypatch, value, expected):
    monkeypatch.delenv(VARIABLE, raising=False)
    if value:
        monkeypatch.setenv(VARIABLE, value)
    sql_db = SimpleNamespace(connection_info_for=stock)
    activate(sql_db, {"db_name": ["t_acme"]})
    assert sql_db.connection_info_for("postgres")[1]["database"] == expected


def test_activating_twice_wraps_once(monkeypatch):
    monkeypatch.setenv(VARIABLE, "1")
    sql_db = SimpleNamespace(connection_info_for=stock)
    activate(sql_db, {"db_name": ["t_acme"]})
    wrapped = sql_db.connection_info_for
    activate(sql_db, {"db_name": ["t_acme"]})
    assert sql_db.connection_info_for is wrapped
