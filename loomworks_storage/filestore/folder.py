"""The only place that reads and writes Odoo's filestore on disk.

What is on a tenant's volume is the tenant's: nothing there is followed that is not a plain file or directory.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Iterable, Set
from pathlib import Path
from typing import BinaryIO

from .errors import FolderMissing, VolumeFull
from .manifest import State

SETTLED = 5.0  # seconds: a directory changed later than that may change again within the same tick of its clock
LEFT_OVER = 3600.0  # seconds: after that a file half fetched is one of a run that has died
BLOCK = 1024 * 1024  # bytes

DIGITS = 40  # of a digest

_DIGITS = re.compile(r"[0-9a-f]*")
_HALF = re.compile(r"\.[0-9a-f]{40}\.[0-9a-f]{8}\.new")
_NO_DIRECTORY = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}
_FULL = {errno.ENOSPC, errno.EDQUOT}


class Folder:
    """One database's files below ``root``."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def require(self) -> None:
        """Have it be there.

        :raises FolderMissing: when it is not
        """
        if not self.root.is_dir():
            raise FolderMissing(
                f"there is no folder {self.root}", "Check the volume's mount and the name of the database."
            )

    def path(self, digest: str) -> Path:
        """Return where a file is."""
        return self.root / digest[:2] / digest

    def state(self, directory: str) -> State | None:
        """Return what will tell whether a directory has changed, or None when that cannot be told."""
        try:
            found = (self.root / directory).lstat()
        except FileNotFoundError:
            return None
        recent = time.time_ns() - found.st_mtime_ns < SETTLED * 1e9
        return None if recent else State(found.st_ino, found.st_mtime_ns)

    def files(self, directory: str) -> dict[str, int]:
        """Return the files of a directory, and their sizes in bytes.

        :raises FolderMissing: when it may not be read
        """
        return self.changes(directory, frozenset())[0]

    def changes(self, directory: str, known: Set[str]) -> tuple[dict[str, int], Set[str]]:
        """Return the files of a directory that are not ``known``, with their sizes in bytes, and what of it is gone.

        Of what is known nothing is looked at but the name.

        :raises FolderMissing: when it may not be read
        """
        path = self.root / directory
        try:
            number = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except PermissionError as error:
            raise FolderMissing(f"{path} may not be read", "Run it as the user that Odoo runs as.") from error
        except OSError as error:
            if error.errno not in _NO_DIRECTORY:
                raise
            return {}, known
        try:
            names = set(os.listdir(number))  # noqa: PTH208  (of the open directory)
            new = names - known
            gone = known - names if len(names) - len(new) < len(known) else frozenset()
            return _plain_files(number, directory, new), gone
        finally:
            os.close(number)

    def open(self, digest: str) -> BinaryIO:
        """Open a file for reading.

        :raises OSError: when it is not there any more, or not a plain file
        """
        number = os.open(self._place(digest), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        if not stat.S_ISREG(os.fstat(number).st_mode):
            os.close(number)
            raise OSError(errno.EINVAL, "not a plain file")
        return os.fdopen(number, "rb")

    def has_content(self, digest: str) -> bool:
        """Tell whether a file is there and its content is what its name says."""
        hashed = hashlib.sha1(usedforsecurity=False)
        try:
            with self.open(digest) as stream:
                while block := stream.read(BLOCK):
                    hashed.update(block)
        except OSError:
            return False
        return hashed.hexdigest() == digest

    def write(self, digest: str, blocks: Iterable[bytes]) -> None:
        """Put a file in place once ``blocks`` have ended well; until then it has no name that anybody reads.

        :raises VolumeFull: when there is no room for it
        """
        half = self._half(digest)
        with _removed_if_it_fails(half), _room():
            number = os.open(half, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o666)
            try:
                for block in blocks:
                    _write(number, block)
            finally:
                os.close(number)
            os.replace(half, self._place(digest))  # noqa: PTH105  (a path as an object takes as long as the rest)

    def adopt(self, other: Folder, digest: str) -> None:
        """Put a file of another folder in place: as a link, or where that cannot be, as a copy.

        :raises OSError: when it is not there any more
        """
        half = self._half(digest)
        with _removed_if_it_fails(half), _room():
            try:
                os.link(other.path(digest), half, follow_symlinks=False)
            except OSError as error:
                if error.errno not in {errno.EXDEV, errno.EPERM, errno.EMLINK}:
                    raise
                with other.open(digest) as source, Path(half).open("xb") as target:
                    shutil.copyfileobj(source, target, BLOCK)
            Path(half).replace(self._place(digest))
            Path(half).unlink(missing_ok=True)  # where both are links to one file already, nothing was renamed

    def make(self, directory: str) -> None:
        """Have a directory, without what runs that died have left in it.

        :raises VolumeFull, FolderMissing: when there is no room for it, or something else has its name
        """
        path = self.root / directory
        with _room():
            path.mkdir(parents=True, exist_ok=True)
        if not _is_directory(path):
            raise FolderMissing(f"{path} is not a directory", "Remove it and run it again.")
        now = time.time()
        with os.scandir(path) as entries:
            left = [one.path for one in entries if _HALF.fullmatch(one.name)]
        for one in left:
            with contextlib.suppress(FileNotFoundError):
                if now - Path(one).lstat().st_mtime > LEFT_OVER:
                    Path(one).unlink()

    def remove(self, digest: str) -> None:
        """Have a file not be there."""
        self.path(digest).unlink(missing_ok=True)

    def flush(self) -> None:
        """Wait until the volume has written everything."""
        number = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            if ctypes.CDLL(None, use_errno=True).syncfs(number):
                raise OSError(ctypes.get_errno(), f"{self.root} could not be written")
        finally:
            os.close(number)

    def _place(self, digest: str) -> str:
        return f"{self.root}/{digest[:2]}/{digest}"  # as text: paths as objects take as long as small files do

    def _half(self, digest: str) -> str:
        return f"{self.root}/{digest[:2]}/.{digest}.{secrets.token_hex(4)}.new"


def _plain_files(number: int, beginning: str, names: Iterable[str]) -> dict[str, int]:
    """Return those of these files of an open directory that are plain and called as they should be, and their sizes.

    Thousands are looked at: there is one request to the system for each, and little more.
    """
    found = {}
    for name in names:
        if len(name) == DIGITS and name[:2] == beginning and _DIGITS.fullmatch(name):
            try:
                facts = os.stat(name, dir_fd=number, follow_symlinks=False)
            except FileNotFoundError:
                continue
            if stat.S_ISREG(facts.st_mode):
                found[name] = facts.st_size
    return found


def _write(number: int, block: bytes) -> None:
    waiting = memoryview(block)
    while waiting:
        waiting = waiting[os.write(number, waiting) :]


def _is_directory(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def _removed_if_it_fails(half: str):
    try:
        yield
    except BaseException:
        Path(half).unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _room():
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise VolumeFull("the volume has no room left", "Grow it and run it again: what is done stays done.") from error
