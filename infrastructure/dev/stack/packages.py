"""Debian packages from any suite of the machine's own mirror, without touching the machine's apt.

The source list, the package lists and the dpkg status are private to each call; only the
machine's settings for reaching its mirror (proxies, credentials) are shared.
"""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from .errors import StackError
from .shell import run

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def codename() -> str:
    """Return the suite this machine was installed from (``bookworm``, ``trixie``)."""
    return platform.freedesktop_os_release().get("VERSION_CODENAME", "")


def mirror() -> str:
    """Return the address of the Debian mirror that this machine itself uses."""
    targets = run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)"])
    for line in targets.splitlines():
        address, _, suite = line.partition(" ")
        if suite == codename():
            return address
    raise StackError(
        f"apt knows no mirror of Debian {codename()}",
        hint="apt-get indextargets lists what it knows; enable the distribution's own source",
    )


def download(suite: str, names: Sequence[str], target: Path, *, log: Path, closure: bool = False) -> list[Path]:
    """Download the packages ``names`` of ``suite`` into ``target`` and return the .deb files there.

    With ``closure`` everything they depend on comes too, down to the C library, as if for
    an empty machine.
    """
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="apt-", dir=target) as private:
        options = _private_apt(Path(private), suite)
        run(["apt-get", *options, "update"], log=log)
        if closure:
            run([*_install(options, target), *names], log=log)
        else:
            run(["apt-get", *options, "download", *names], log=log, cwd=target)
    return sorted(target.glob("*.deb"))


def unpack(debs: Iterable[Path], root: Path) -> None:
    """Unpack every package of ``debs`` into ``root``; no maintainer script runs."""
    root.mkdir(parents=True, exist_ok=True)
    for deb in debs:
        run(["dpkg", "-x", deb, root])


def _install(options: Sequence[str], target: Path) -> list[str]:
    (target / "partial").mkdir(exist_ok=True)
    archives = f"Dir::Cache::archives={target}/"
    return ["apt-get", *options, "-o", archives, "--yes", "--no-install-recommends", "--download-only", "install"]


def _private_apt(folder: Path, suite: str) -> list[str]:
    for name in ("lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    (folder / "status").touch()
    (folder / "sources.list").write_text(f"deb [signed-by={KEYRING}] {mirror()} {suite} main\n")
    options = {
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::lists": folder / "lists",
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder / "cache",
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
    }
    return [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
