"""The product's images: built with buildah from the same Dockerfiles that Docker builds.

An image's tag is the digest of all that goes into it: what the registry holds is neither built nor
pushed again, and a push carries only the layers that changed.
"""

from __future__ import annotations

import os
import shutil
import ssl
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from . import cache, debian_base, registry, shell
from .settings import BRIDGE_ADDRESS, REGISTRY_PORT, Settings

DOCKER = "infrastructure/docker"
LEFT_OUT = frozenset({"__pycache__", "tests", "readme"})  # of what an image takes in
CERTIFICATES_INSIDE = "/run/build-certificates.pem"


@dataclass(frozen=True)
class Image:
    """One image: the Debian it stands on, the files it takes in, the Dockerfile's own folder.

    ``inputs`` are patterns below the repository. ``context`` is the folder they are seen from,
    which is also the context that Docker is to be given.
    """

    name: str
    suite: str
    folder: str
    context: str
    inputs: tuple[str, ...]


IMAGES = (
    Image(
        "loomworks-odoo",
        "bookworm",
        f"{DOCKER}/odoo",
        ".",
        (f"{DOCKER}/odoo", "requirements-odoo.lock", "requirements-uv.lock", "loomworks_*"),
    ),
    Image(
        "loomworks-postgres",
        "trixie",
        f"{DOCKER}/postgres",
        ".",
        (
            f"{DOCKER}/postgres",
            "loomworks_snapshot/export",
            "loomworks_snapshot/pitr",
            "loomworks_snapshot/repository",
            "loomworks_storage/filestore",
            "loomworks_storage/importing",
            "loomworks_tenant/errors.py",
        ),
    ),
    Image("loomworks-edge", "trixie", f"{DOCKER}/edge", f"{DOCKER}/edge", (f"{DOCKER}/edge",)),
)


def references(settings: Settings) -> dict[str, str]:
    """The full reference of every image, by name, whether it has been built or not."""
    return {image.name: f"{settings.registry}/{image.name}:{_tag(settings, image)}" for image in IMAGES}


def ensure(settings: Settings) -> dict[str, str]:
    """Have every image in the registry; return the full references by name."""
    found = references(settings)
    for image in IMAGES:
        if not _is_own(settings) or not registry.has(settings, found[image.name]):
            build(settings, image, found[image.name])
            push(settings, found[image.name])
            _forget_others(settings, found[image.name])
    return found


def build(settings: Settings, image: Image, reference: str) -> None:
    """Build ``image`` into the local store under the name ``reference``."""
    debian_base.ensure(settings, image.suite)
    buildah(settings, "rm", "--all")  # what a killed build left
    with tempfile.TemporaryDirectory(prefix="loomworks-image-") as folder:
        context = Path(folder)
        _assemble(settings.repository / image.context, _files(settings, image), context)
        dockerfile = settings.repository / image.folder / "Dockerfile"
        buildah(settings, *_build_options(), "--file", dockerfile, "--tag", reference, context)


def push(settings: Settings, reference: str) -> None:
    """Send the layers of ``reference`` that its registry does not have."""
    own = ["--cert-dir", registry.client_certificates(settings)] if _is_own(settings) else []
    buildah(settings, "push", *own, reference)


def store(settings: Settings) -> Path:
    """Where buildah keeps layers and images."""
    return settings.cache / "images"


def buildah(settings: Settings, *arguments: str | Path) -> None:
    """Run buildah on the store, when no other run of it does.

    In a mount namespace of its own: whatever it mounts is gone with it, killed or not.
    """
    environment = {"BUILDAH_ISOLATION": "chroot", "STORAGE_DRIVER": _driver(store(settings))}
    alone = ["flock", store(settings) / "lock", "unshare", "--mount", "nice"]
    shell.run([*alone, *_buildah(settings), *arguments], log=settings.logs / "images.log", env=environment)


def _buildah(settings: Settings) -> list[str | Path]:
    return ["buildah", "--root", store(settings) / "storage", "--runroot", store(settings) / "run"]


def _driver(folder: Path) -> str:
    """``overlay`` where the kernel can put one on the cache's file system, else copies (``vfs``)."""
    chosen = folder / "driver"
    if not chosen.exists():
        folder.mkdir(parents=True, exist_ok=True)
        chosen.write_text("overlay" if _can_overlay(folder) else "vfs")
    return chosen.read_text()


def _can_overlay(folder: Path) -> bool:
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        lower, upper, work, merged = (Path(scratch) / name for name in ("lower", "upper", "work", "merged"))
        for path in (lower, upper, work, merged):
            path.mkdir()
        options = f"lowerdir={lower},upperdir={upper},workdir={work}"
        mount = f"mount -t overlay overlay -o {options} {merged} && touch {merged}/file && echo usable"
        return "usable" in shell.run(["unshare", "--mount", "sh", "-c", mount], check=False)


def _build_options() -> list[str]:
    """Layers kept for the next build, the host's network, and the host's certificates while building."""
    options = ["build", "--layers", "--format", "docker", "--network", "host", "--pull=never", "--jobs", "1"]
    bundle = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
    if not bundle:
        return options
    trusted = [f"--build-arg={name}={CERTIFICATES_INSIDE}" for name in ("PIP_CERT", "SSL_CERT_FILE")]
    return [*options, "--volume", f"{Path(bundle).resolve()}:{CERTIFICATES_INSIDE}:ro", *trusted]


def _tag(settings: Settings, image: Image) -> str:
    parts: list[str | bytes] = [debian_base.key(image.suite)]
    for path in _files(settings, image):
        parts += [str(path.relative_to(settings.repository)), str(os.access(path, os.X_OK)), path.read_bytes()]
    return cache.digest(parts)


def _files(settings: Settings, image: Image) -> list[Path]:
    return sorted(path for pattern in image.inputs for path in _below(settings.repository, pattern))


def _below(repository: Path, pattern: str) -> Iterator[Path]:
    for top in repository.glob(pattern):
        for path in [top] if top.is_file() else top.rglob("*"):
            if path.is_file() and not LEFT_OUT.intersection(path.relative_to(repository).parts):
                yield path


def _assemble(root: Path, files: list[Path], context: Path) -> None:
    """Copy ``files`` to ``context``: the image can hold nothing that its tag does not speak for."""
    for path in files:
        target = context / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)


def _forget_others(settings: Settings, reference: str) -> None:
    """Remove the names of earlier builds; layers that the new image shares with them stay."""
    name, _, _ = reference.rpartition(":")
    listing = ["images", "--format", "{{.Name}}:{{.Tag}}", "--filter", f"reference={name}"]
    for other in _output(settings, *listing).split():
        if other != reference:
            buildah(settings, "rmi", other)


def _output(settings: Settings, *arguments: str) -> str:
    return shell.run([*_buildah(settings), *arguments], env={"STORAGE_DRIVER": _driver(store(settings))})


def _is_own(settings: Settings) -> bool:
    return settings.registry == f"{BRIDGE_ADDRESS}:{REGISTRY_PORT}"
