"""What the stack needs from the machine's own package archive."""

from __future__ import annotations

import os

from . import shell
from .errors import StackError
from .settings import Settings

PACKAGES = (
    "buildah",
    "ca-certificates",
    "debootstrap",
    "gcc",
    "iproute2",
    "libc6-dev",
    "libseccomp-dev",
    "mount",
    "nftables",
    "openssl",
    "pkg-config",
    "procps",
    "util-linux",
    "xfsprogs",
)


def ensure(settings: Settings, packages: tuple[str, ...] = PACKAGES) -> None:
    """Install those of ``packages`` that are missing; nothing is done when none is."""
    missing = _missing(packages)
    if not missing:
        return
    if os.geteuid() != 0:
        raise StackError(f"these packages are missing: {' '.join(missing)}", hint="run as root")
    log = settings.logs / "packages.log"
    environment = {"DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "--no-install-recommends", *missing]
    shell.run(["apt-get", "update"], log=log, env=environment)
    shell.run(install, log=log, env=environment)


def _missing(packages: tuple[str, ...]) -> list[str]:
    query = ["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\\n", *packages]
    installed = {line.split()[0] for line in shell.run(query, check=False).splitlines() if line.endswith(" installed")}
    return sorted(set(packages) - installed)
