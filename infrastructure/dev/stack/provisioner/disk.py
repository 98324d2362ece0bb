"""Disks: sparse files with an XFS file system, mounted through loop devices that go with their mount.

XFS, because a mounted ext4 grows only for holders of CAP_SYS_RESOURCE, which many virtual
machines and containers do not give even to root.
"""

from __future__ import annotations

import errno
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

FORMAT_OPTIONS = "reflink=0,rmapbt=0"  # what they would reserve is missed on a small disk
FOLDER = "data"
MOUNT_OPTIONS = "loop,noatime,discard"


class DiskError(Exception):
    """A disk could not be made, mounted, grown or removed; the message is the tool's own."""


class TooLarge(DiskError):
    """No file of this node can be so large: trying again cannot help."""


@dataclass(frozen=True)
class Disks:
    """All disks of the node: files in ``images``, mounted below ``mounts``."""

    images: Path
    mounts: Path

    def image(self, name: str) -> Path:
        """The file that holds a disk."""
        return self.images / f"{name}.img"

    def path(self, name: str) -> Path:
        """Where a disk is mounted."""
        return self.mounts / name

    def ensure(self, name: str, size: int) -> Path:
        """Have the disk made and mounted; return the folder for its user. A half-made one is made anew.

        The folder is inside the file system: where the disk is not mounted there is no such path, and
        no pod can start on an empty mount point by mistake.
        """
        if not self.image(name).exists():
            self._make(name, size)
        folder = self.mount(name) / FOLDER
        folder.mkdir(exist_ok=True)
        return folder

    def _make(self, name: str, size: int) -> None:
        self.images.mkdir(parents=True, exist_ok=True)
        partial = self.image(name).with_suffix(".partial")
        partial.unlink(missing_ok=True)
        _truncate(partial, size)
        _run("mkfs.xfs", "-q", "-K", "-m", FORMAT_OPTIONS, partial)
        partial.rename(self.image(name))

    def mount(self, name: str) -> Path:
        """Have the disk mounted, and return where.

        :raises DiskError: when there is no such disk
        """
        path = self.path(name)
        if not path.is_mount():
            path.mkdir(parents=True, exist_ok=True)
            _run("mount", "-t", "xfs", "-o", MOUNT_OPTIONS, self.image(name), path)
        return path

    def grow(self, name: str, size: int) -> None:
        """Make a mounted disk at least ``size`` bytes large; it is never made smaller."""
        path = self.mount(name)
        device = _run("findmnt", "--noheadings", "--output", "SOURCE", path).strip()
        if self.image(name).stat().st_size < size:
            _truncate(self.image(name), size)
        _run("losetup", "--set-capacity", device)
        _run("xfs_growfs", path)

    def remove(self, name: str) -> None:
        """Unmount a disk and delete its data, if it is there."""
        self._unmount(name)
        self.image(name).unlink(missing_ok=True)

    def retain(self, name: str) -> None:
        """Unmount a disk and set its file aside, out of the way of :meth:`remove_unknown`."""
        self._unmount(name)
        if self.image(name).exists():
            self.image(name).rename(self.image(name).with_suffix(".retained"))

    def _unmount(self, name: str) -> None:
        path = self.path(name)
        if path.is_mount():
            _run("umount", path)
        if path.exists():
            path.rmdir()

    def remove_unknown(self, known: set[str]) -> list[str]:
        """Remove what a killed provisioner left half done: disks that no volume and no claim names.

        No pod can have used such a disk: its volume is made after it, and a volume that is let go
        of has its file set aside.
        """
        for partial in self.images.glob("*.partial"):
            partial.unlink()
        unknown = [path.stem for path in self.images.glob("*.img") if path.stem not in known]
        for name in unknown:
            self.remove(name)
        return unknown


def _truncate(path: Path, size: int) -> None:
    try:
        with path.open("ab") as stream:
            os.truncate(stream.fileno(), size)
    except OSError as error:
        kind = TooLarge if error.errno in (errno.EFBIG, errno.EINVAL) else DiskError
        raise kind(f"a file of {size} bytes cannot be made: {error.strerror}") from error


def _run(*command: str | Path) -> str:
    done = subprocess.run([str(word) for word in command], text=True, capture_output=True, check=False)
    if done.returncode:
        raise DiskError(f"{command[0]}: {(done.stderr or done.stdout).strip()}")
    return done.stdout
