"""The import contract: which part may import which.

1. An addon's *engine* is every module at its root that is not thin code on Odoo's models. It imports neither odoo nor
   the models, wizards and controllers beside it, nor an addon that its own does not depend on.
2. The stack imports only the standard library and itself: it runs before anything has been installed.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# What of an addon stands on Odoo.
MODEL_PARTS = frozenset({"models", "wizards", "controllers", "report", "tests", "migrations"})
# Processes of their own, run in the environment that has been built by then.
STACK_EXCEPTIONS = frozenset({"provisioner", "make_bucket.py"})


@dataclass(frozen=True, order=True)
class Breach:
    """A forbidden import: where it stands, what it imports and which rule it breaks."""

    path: Path
    line: int
    imported: str
    rule: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: imports {self.imported}: {self.rule}"


def breaches(repository: Path) -> list[Breach]:
    """Return every breach of the contract in ``repository``."""
    found = [breach for addon in _addons(repository) for breach in _engine_breaches(repository, addon)]
    return sorted([*found, *_stack_breaches(repository)])


def engine_files(addon: Path) -> Iterator[Path]:
    """Yield the Python files of the addon's engine."""
    for path in sorted(addon.rglob("*.py")):
        parts = path.relative_to(addon).parts
        if parts[0] not in MODEL_PARTS and parts not in {("__init__.py",), ("__manifest__.py",)}:
            yield path


def _addons(repository: Path) -> list[Path]:
    return sorted(manifest.parent for manifest in repository.glob("*/__manifest__.py"))


def _engine_breaches(repository: Path, addon: Path) -> Iterator[Breach]:
    manifest = ast.literal_eval((addon / "__manifest__.py").read_text())
    others = {path.name for path in _addons(repository)} - {addon.name, *manifest["depends"]}
    for path in engine_files(addon):
        for line, name in imports(path, addon.parent):
            rule = _engine_rule(name.split("."), addon.name, others)
            if rule:
                yield Breach(path.relative_to(repository), line, name, rule)


def _engine_rule(words: list[str], addon: str, others: set[str]) -> str:
    own = words[words.index(addon) + 1 :] if addon in words else []
    if own and own[0] in MODEL_PARTS:
        return "an engine does not know the models that call it"
    if others & set(words):
        return "its addon does not depend on that one"
    if words[0] == "odoo" and words[:2] != ["odoo", "addons"]:
        return "an engine works without odoo"
    return ""


def _stack_breaches(repository: Path) -> Iterator[Breach]:
    stack = repository / "infrastructure" / "dev" / "stack"
    for path in sorted(stack.rglob("*.py")):
        if path.relative_to(stack).parts[0] in STACK_EXCEPTIONS:
            continue
        for line, name in imports(path, stack.parent):
            if name.split(".")[0] not in {"stack", *sys.stdlib_module_names}:
                rule = "the stack runs before anything has been installed"
                yield Breach(path.relative_to(repository), line, name, rule)


def imports(path: Path, root: Path) -> Iterator[tuple[int, str]]:
    """Yield line and absolute name of everything that ``path`` imports, below ``root`` for relative imports."""
    package = path.relative_to(root).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            start = [*base, *([node.module] if node.module else [])]
            yield from ((node.lineno, ".".join([*start, alias.name])) for alias in node.names)
