"""Odoo 19 on the host, for tests and ``make dev``: Debian's package, unpacked, in our Python environment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from . import packages, python_env
from .cache import built, digest
from .settings import Settings

ODOO_SUITE = "sid"  # the only suite that carries Odoo 19
ODOO_PACKAGE = "odoo-19"
# Odoo's static files are symlinks into these.
STATIC_PACKAGES = (
    "fonts-roboto-unhinted",
    "fonts-montserrat",
    "fonts-ocr-b",
    "libjs-jquery",
    "libjs-underscore",
    "libjs-jquery-form",
)
# Font Awesome 4 (the icons' names changed after it), and the Inconsolata of one file that Odoo links to.
OLDER_SUITE = "bookworm"
OLDER_PACKAGES = ("fonts-font-awesome", "fonts-inconsolata")
# Debian leaves it out; without it every bundle of mail ends in an error on the browser's console.
LEFT_OUT = "mail/static/lib/selfie_segmentation/selfie_segmentation.js"
LEFT_OUT_TEXT = "// Background blur for calls: not in Debian, which ships no compiled model.\n"
PATH_FILE = "loomworks-odoo.pth"


@dataclass(frozen=True)
class OdooHost:
    """How to run Odoo on this machine: ``python bin --addons-path ...``."""

    python: Path
    bin: Path
    addons_path: Path


def ensure(settings: Settings) -> OdooHost:
    """Return a working Odoo 19, downloading and unpacking it if that was not yet done."""
    environment = python_env.ensure(settings)
    root = unpacked(settings)
    library = root / "usr" / "lib" / "python3" / "dist-packages"
    (python_env.site_packages(environment) / PATH_FILE).write_text(f"{library}\n")
    return OdooHost(environment / "bin" / "python", root / "usr" / "bin" / "odoo", library / "odoo" / "addons")


def unpacked(settings: Settings) -> Path:
    """Return the root folder under which Odoo and what its static files need is unpacked."""
    key = digest([ODOO_SUITE, ODOO_PACKAGE, *STATIC_PACKAGES, OLDER_SUITE, *OLDER_PACKAGES, LEFT_OUT])
    return built(settings.cache, "odoo", key, lambda target: _unpack(settings, target))


def _unpack(settings: Settings, target: Path) -> None:
    log = settings.logs / "odoo.log"
    debs = packages.download(ODOO_SUITE, [ODOO_PACKAGE, *STATIC_PACKAGES], target / "debs", log=log)
    older = packages.download(OLDER_SUITE, OLDER_PACKAGES, target / "debs-older", log=log)
    packages.unpack([*debs, *older], target)
    left_out = target / "usr" / "lib" / "python3" / "dist-packages" / "odoo" / "addons" / LEFT_OUT
    left_out.parent.mkdir(parents=True)
    left_out.write_text(LEFT_OUT_TEXT)
