"""``debian:bookworm-slim`` and ``debian:trixie-slim``, made with debootstrap from the machine's own mirror.

They carry the names of Docker Hub's images, so that the Dockerfiles build here and with Docker alike.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from . import cache, images, packages, shell
from .settings import Settings

RECIPE = "1"  # to be counted up when the steps below change
NOT_NEEDED = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/info",
    "usr/share/locale",
    "var/cache/apt",
    "var/lib/apt/lists",
)
APT = """# A container is built once: no recommended packages, no kept archives, no indexes in two forms.
APT::Install-Recommends "false";
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb || true"; };
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Acquire::GzipIndexes "true";
Acquire::Languages "none";
"""
MIRROR_POLICY = ("Acquire::Check-Valid-Until", "Acquire::Check-Date")  # what the machine says of its own mirror
DPKG = "path-exclude /usr/share/doc/*\npath-exclude /usr/share/man/*\npath-exclude /usr/share/locale/*\n"
DOCKERFILE = 'FROM scratch\nADD rootfs.tar /\nCMD ["bash"]\n'


def name(suite: str) -> str:
    """The name that a Dockerfile's FROM finds."""
    return f"docker.io/library/debian:{suite}-slim"


def key(suite: str) -> str:
    """What the image of ``suite`` is made from."""
    return cache.digest([RECIPE, suite, APT, DPKG, *NOT_NEEDED])


def ensure(settings: Settings, suite: str) -> None:
    """Have the image of ``suite`` in the local store."""
    # Remembered inside the store: whoever removes the store removes this, too.
    store = images.store(settings)
    cache.built(store, f"debian-{suite}", key(suite), lambda folder: _build(settings, suite, folder))


def _build(settings: Settings, suite: str, folder: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="debian-", dir=settings.cache) as scratch:
        root = Path(scratch) / "root"
        # In a mount namespace of its own: debootstrap leaves /proc mounted when it is killed.
        command = ["unshare", "--mount", "nice", "debootstrap", "--variant=minbase", suite, root, packages.mirror()]
        shell.run(command, log=settings.logs / "images.log")
        _slim(root, suite)
        shell.run(["tar", "--create", "--numeric-owner", "--file", folder / "rootfs.tar", "--directory", root, "."])
    (folder / "Dockerfile").write_text(DOCKERFILE)
    images.buildah(settings, "build", "--format", "docker", "--tag", name(suite), folder)
    (folder / "rootfs.tar").unlink()


def _slim(root: Path, suite: str) -> None:
    (root / "etc/apt/apt.conf.d/90container").write_text(APT + _mirror_policy())
    (root / "etc/dpkg/dpkg.cfg.d/90container").write_text(DPKG)
    (root / "etc/apt/sources.list").write_text(_sources(suite))
    folders = [root / path for path in NOT_NEEDED]
    shell.run(["find", *folders, "-mindepth", "1", "-not", "-type", "d", "-delete"])
    (root / "etc/hostname").unlink(missing_ok=True)
    (root / "etc/resolv.conf").write_text("")


def _mirror_policy() -> str:
    """How old an index of the machine's mirror may be: a frozen copy of Debian is used as the machine uses it."""
    settings = shell.run(["apt-config", "dump", "--no-empty", *MIRROR_POLICY])
    return "\n".join(line for line in settings.splitlines() if line.startswith(MIRROR_POLICY)) + "\n"


def _sources(suite: str) -> str:
    lines = [f"deb {packages.mirror()} {suite} main", f"deb {packages.mirror()} {suite}-updates main"]
    security = _security_mirror()
    return "\n".join([*lines, *([f"deb {security} {suite}-security main"] if security else []), ""])


def _security_mirror() -> str:
    """Where this machine itself gets security updates, or nothing when it gets none."""
    targets = shell.run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)"])
    wanted = f"{packages.codename()}-security"
    found = (line.partition(" ") for line in targets.splitlines())
    return next((address for address, _, suite in found if suite == wanted), "")
