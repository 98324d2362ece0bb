"""The import contract finds what it forbids, and this repository keeps it."""

from pathlib import Path

import pytest
from harness import import_contract

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture
def repository(tmp_path):
    """Two addons, of which ``upper`` depends on ``lower``, and an empty stack."""
    for name, depends in (("lower", ["base"]), ("upper", ["base", "lower"])):
        (tmp_path / name / "engine").mkdir(parents=True)
        (tmp_path / name / "__manifest__.py").write_text(repr({"name": name, "depends": depends}))
    (tmp_path / "infrastructure" / "dev" / "stack").mkdir(parents=True)
    return tmp_path


def write(repository, path, text):
    (repository / path).parent.mkdir(parents=True, exist_ok=True)
    (repository / path).write_text(text)


def rules(repository):
    return [breach.rule for breach in import_contract.breaches(repository)]


@pytest.mark.parametrize(
    "text",
    [
        "import odoo",
        "from odoo import api",
        "def late():\n    import odoo.tools",
        "import odoo.exceptions as errors",
    ],
)
def test_engine_that_imports_odoo_is_found(repository, text):
    write(repository, "lower/engine/work.py", text)
    assert rules(repository) == ["an engine works without odoo"]


@pytest.mark.parametrize("text", ["from ..models import tenant", "from .. import wizards", "from ..models.a import b"])
def test_engine_that_imports_models_is_found(repository, text):
    write(repository, "lower/engine/work.py", text)
    assert rules(repository) == ["an engine does not know the models that call it"]


def test_module_at_the_root_is_an_engine_too(repository):
    write(repository, "lower/client.py", "import odoo")
    assert rules(repository) == ["an engine works without odoo"]


def test_addon_that_is_not_depended_on_is_found(repository):
    write(repository, "lower/engine/work.py", "from odoo.addons.upper.engine import work")
    assert rules(repository) == ["its addon does not depend on that one"]


def test_addon_that_is_depended_on_may_be_imported(repository):
    write(repository, "upper/engine/work.py", "from odoo.addons.lower.engine import work\nfrom ..engine import other")
    assert rules(repository) == []


def test_models_may_import_what_they_like(repository):
    write(repository, "lower/models/tenant.py", "from odoo import models\nfrom ..engine import work")
    write(repository, "lower/__init__.py", "from . import models")
    assert rules(repository) == []


def test_stack_that_imports_a_package_is_found(repository):
    write(repository, "infrastructure/dev/stack/up.py", "import json\nfrom . import shell\nimport requests")
    assert rules(repository) == ["the stack runs before anything has been installed"]


def test_breach_says_where_and_what(repository):
    write(repository, "lower/engine/work.py", "\nimport odoo")
    (breach,) = import_contract.breaches(repository)
    assert str(breach) == "lower/engine/work.py:2: imports odoo: an engine works without odoo"


def test_this_repository_keeps_the_contract():
    assert import_contract.breaches(REPOSITORY) == []
