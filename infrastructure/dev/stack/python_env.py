"""The Python environments of the host, each built from one lock file with hashes."""

from __future__ import annotations

import sys
from pathlib import Path

from . import packages
from .cache import built, digest
from .settings import Settings
from .shell import run

LOCKS = ("odoo", "dev", "lint")  # requirements-<name>.in
OLDEST_PYTHON = "3.11"
UV_LOCK = "requirements-uv.lock"
DEV_LOCK = "requirements-dev.lock"
LINT_LOCK = "requirements-lint.lock"


def ensure(settings: Settings) -> Path:
    """Return the environment of the stack and its tests (a folder with ``bin/python``)."""
    return _environment(settings, "python", DEV_LOCK)


def ensure_lint(settings: Settings) -> Path:
    """Return the environment of the checkers that the tests do not need."""
    return _environment(settings, "lint", LINT_LOCK)


def uv(settings: Settings) -> Path:
    """Return the program ``uv``, which resolves and installs in seconds where pip takes minutes."""
    lock = settings.repository / UV_LOCK
    key = digest([lock, sys.version])
    return built(settings.cache, "uv", key, lambda target: _install_uv(settings, lock, target)) / "bin" / "uv"


def lock(settings: Settings) -> None:
    """Resolve every ``requirements-*.in`` anew, for all Pythons from ``OLDEST_PYTHON`` on, with hashes."""
    options = ["--universal", "--python-version", OLDEST_PYTHON, "--generate-hashes", "--no-emit-index-url"]
    for name in LOCKS:
        source, target = f"requirements-{name}.in", f"requirements-{name}.lock"
        command = [uv(settings), "pip", "compile", *options, "--no-header", "--upgrade", source, "-o", target]
        run(command, log=settings.logs / "python.log", env=_uv_environment(settings), cwd=settings.repository)


def site_packages(environment: Path) -> Path:
    """Return the folder where ``environment`` keeps its packages."""
    return next(environment.glob("lib/python3*/site-packages"))


def _environment(settings: Settings, name: str, lock_name: str) -> Path:
    lock = settings.repository / lock_name
    key = digest([lock, sys.version, str(_system_python())])
    return built(settings.cache, name, key, lambda target: _sync(settings, lock, target))


def _sync(settings: Settings, lock: Path, target: Path) -> None:
    log = settings.logs / "python.log"
    env = _uv_environment(settings)
    run([uv(settings), "venv", "--allow-existing", "--python", _system_python(), target], log=log, env=env)
    python = target / "bin" / "python"
    run([uv(settings), "pip", "sync", "--require-hashes", "--python", python, lock], log=log, env=env)


def _uv_environment(settings: Settings) -> dict[str, str]:
    return {"UV_CACHE_DIR": str(settings.cache / "uv-cache"), "UV_NO_CONFIG": "1"}


def _system_python() -> Path:
    """Return the interpreter outside any virtual environment: the same one whoever asks."""
    return Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"


def _install_uv(settings: Settings, lock: Path, target: Path) -> None:
    """Install uv by the pip that Debian ships as a wheel: a machine may have neither pip nor ensurepip."""
    log = settings.logs / "python.log"
    codename = packages.codename()
    packages.unpack(packages.download(codename, ["python3-pip-whl"], target / "debs", log=log), target / "pip")
    wheel = next((target / "pip").glob("usr/share/python-wheels/pip-*.whl"))
    command = [_system_python(), wheel / "pip", "install", "--require-hashes", "--target", target, "-r", lock]
    run(command, log=log)
