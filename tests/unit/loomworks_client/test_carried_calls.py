"""Programs that name an earlier database of the tenant reach the present one."""

import types

import pytest
from addons.loomworks_client import carried_calls

FIRST = "t_" + "0d3c8a526f0e4b0e9d0e2f6f1c7a9b11"
OTHER = "t_" + "1d3c8a526f0e4b0e9d0e2f6f1c7a9b11"
OWN = f"{FIRST}_r7"


@pytest.fixture
def odoo():
    """Odoo as far as it is wrapped; each part returns what has reached it."""
    application = type("Application", (), {"__call__": lambda self, environ, start: dict(environ)})
    service = {"dispatch": lambda method, params: [method, *params]}
    return (
        types.SimpleNamespace(Application=application),
        types.SimpleNamespace(**service),
        types.SimpleNamespace(**service),
    )


def activate(odoo, name=OWN):
    for _twice in range(2):
        carried_calls.activate(*odoo, {"db_name": [name]})
    return odoo


@pytest.mark.parametrize(
    ("named", "reached"), [(FIRST, OWN), (f"{FIRST}_r3", OWN), (OWN, OWN), (OTHER, OTHER), ("", "")]
)
def test_earlier_names_mean_the_present_database(odoo, named, reached):
    http, model, common = activate(odoo)
    assert model.dispatch("execute_kw", (named, 2, "key", "res.partner")) == [
        "execute_kw",
        reached,
        2,
        "key",
        "res.partner",
    ]
    assert common.dispatch("authenticate", [named, "ada", "key", {}]) == ["authenticate", reached, "ada", "key", {}]
    assert http.Application()({"HTTP_X_ODOO_DATABASE": named}, None) == {"HTTP_X_ODOO_DATABASE": reached}


def test_calls_that_name_no_database_are_left_alone(odoo):
    http, _model, common = activate(odoo)
    assert common.dispatch("version", []) == ["version"]
    assert common.dispatch("about", [FIRST]) == ["about", FIRST]
    assert http.Application()({"PATH_INFO": "/"}, None) == {"PATH_INFO": "/"}


def test_nothing_changes_for_any_other_odoo(odoo):
    http, model, _common = activate(odoo, "loomworks")
    assert model.dispatch("execute", [FIRST]) == ["execute", FIRST]
    assert not hasattr(http.Application, "_loomworks_database")
