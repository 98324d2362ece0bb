"""PostgreSQL 17 and pgBackRest on the host: from Debian trixie, in a root folder of their own.

What runs there runs under ``chroot`` in a private mount namespace, so that it uses trixie's C library on any
host and leaves no mount behind.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from . import packages
from .cache import built, digest
from .settings import Settings

SUITE = "trixie"
MAJOR = "17"
PACKAGES = (f"postgresql-{MAJOR}", "pgbackrest", "dash", "coreutils")  # PostgreSQL runs its helpers by /bin/sh
BINARIES = f"/usr/lib/postgresql/{MAJOR}/bin"
MOUNTS = "/var/lib/loomworks"  # room for one folder of the host
USER_ID = 54317  # in no range that distributions hand out
PASSWD = f"""root:x:0:0:root:/root:/bin/sh
postgres:x:{USER_ID}:{USER_ID}::{MOUNTS}:/bin/sh
"""


def root(settings: Settings) -> Path:
    """Return the root folder, downloading and unpacking it if that was not yet done."""
    key = digest([SUITE, *PACKAGES, PASSWD])
    return built(settings.cache, "postgres-root", key, lambda target: _unpack(settings, target)) / "root"


def inside(settings: Settings, argv: Sequence[str], folders: Mapping[Path, str]) -> list[str]:
    """Wrap ``argv`` to run there as the user ``postgres``; it is the same process throughout.

    :param folders: folders of the host, and where they are seen inside: ``MOUNTS``, or below ``/tmp``
    """
    top = root(settings)
    mounts = [f"mount --rbind /dev {_at(top, '/dev')}", f"mount -t tmpfs -o mode=1777 tmpfs {_at(top, '/tmp')}"]
    for host, seen in folders.items():
        mounts += [f"mkdir -p {_at(top, seen)}", f"mount --rbind {shlex.quote(str(host))} {_at(top, seen)}"]
    change = f"exec chroot --userspec={USER_ID}:{USER_ID} --groups= {shlex.quote(str(top))} {shlex.join(argv)}"
    script = "; ".join(("set -e", *mounts, change))
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script]


def _at(top: Path, seen: str) -> str:
    return shlex.quote(f"{top}{seen}")


def _unpack(settings: Settings, target: Path) -> None:
    log = settings.logs / "postgres-root.log"
    debs = packages.download(SUITE, PACKAGES, target / "debs", log=log, closure=True)
    top = target / "root"
    for name in ("bin", "sbin", "lib", "lib64"):
        (top / "usr" / name).mkdir(parents=True)
        (top / name).symlink_to(f"usr/{name}")
    packages.unpack(debs, top)
    shutil.rmtree(target / "debs")
    for name in ("dev", "proc", "tmp", MOUNTS.strip("/")):
        (top / name).mkdir(parents=True, exist_ok=True)
    (top / "etc" / "passwd").write_text(PASSWD)
