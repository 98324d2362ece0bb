"""promtool, which checks the rules of alerts and plays series through them: from Debian's package, beside the host."""

from __future__ import annotations

import shutil
from pathlib import Path

from . import packages
from .cache import built, digest
from .settings import Settings

PACKAGE = "prometheus"


def ensure(settings: Settings) -> Path:
    """Return the program, downloading its package (19 MB) if that was not yet done."""
    suite = packages.codename()
    key = digest([PACKAGE, suite])
    return built(settings.cache, "promtool", key, lambda target: _unpack(settings, suite, target)) / "promtool"


def _unpack(settings: Settings, suite: str, target: Path) -> None:
    debs = packages.download(suite, [PACKAGE], target / "debs", log=settings.logs / "promtool.log")
    packages.unpack(debs, target / "root")
    shutil.move(target / "root" / "usr" / "bin" / "promtool", target)
    for folder in ("debs", "root"):
        shutil.rmtree(target / folder)
