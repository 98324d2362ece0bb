"""Import the engines as ``addons.<addon>.<package>``, without Odoo and without an addon's models.

An addon's ``__init__`` imports its models, and those import odoo. The engines beside them do not; here they get a
parent package that is nothing but a path.
"""

from __future__ import annotations

import sys
import types
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def register() -> None:
    """Make ``addons`` importable: one bare package for each addon of this repository."""
    _bare_package("addons", REPOSITORY)
    for manifest in REPOSITORY.glob("loomworks_*/__manifest__.py"):
        _bare_package(f"addons.{manifest.parent.name}", manifest.parent)


def _bare_package(name: str, path: Path) -> None:
    module = types.ModuleType(name)
    module.__path__ = [str(path)]
    sys.modules.setdefault(name, module)
