"""The two images the cluster itself needs: ``pause`` for every pod, and CoreDNS."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from . import cache, registry, shell
from .settings import Settings
from .toolchain import Toolchain

SOURCES = Path(__file__).resolve().parents[1] / "images"


def references(settings: Settings, tools: Toolchain) -> dict[str, str]:
    """The full reference of each image, by name; the tag says what it is made from."""
    pause = cache.digest([SOURCES / "pause"])
    coredns = cache.digest([SOURCES / "coredns", tools.node.parent.name])
    return {name: f"{settings.registry}/{name}:{tag}" for name, tag in (("pause", pause), ("coredns", coredns))}


def ensure(settings: Settings, tools: Toolchain) -> dict[str, str]:
    """Have both images in the registry."""
    found = references(settings, tools)
    for name, reference in found.items():
        if not registry.has(settings, reference):
            _build(settings, tools, name, reference)
    return found


def _build(settings: Settings, tools: Toolchain, name: str, reference: str) -> None:
    log = settings.logs / "images.log"
    with tempfile.TemporaryDirectory(prefix="loomworks-image-") as folder:
        context = Path(folder) / "context"
        shutil.copytree(SOURCES / name, context)
        _add_program(tools, name, context, log)
        storage = ["buildah", "--root", f"{folder}/storage", "--runroot", f"{folder}/run", "--storage-driver", "vfs"]
        build = ["build", "--isolation", "chroot", "--file", context / "Containerfile", "--tag", reference, context]
        shell.run([*storage, *build], log=log)
        push = ["push", "--cert-dir", registry.client_certificates(settings), reference]
        shell.run([*storage, *push], log=log)


def _add_program(tools: Toolchain, name: str, context: Path, log: Path) -> None:
    if name == "pause":
        shell.run(["gcc", "-static", "-Os", "-s", "-o", context / "pause", context / "pause.c"], log=log)
    else:
        shutil.copy2(tools.node / name, context / name)
