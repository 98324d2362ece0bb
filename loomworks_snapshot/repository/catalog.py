"""What a stanza's ``backup.info`` says: its base backups and the server that they are of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from . import cipher
from .errors import ObjectMissing, RepositoryDamaged, WrongKey
from .info_file import InfoFile
from .segments import Segment, parse_lsn
from .store import Store


@dataclass(frozen=True)
class Backup:
    """One base backup; times are seconds since 1970, sizes are bytes."""

    label: str
    kind: str  # full, diff or incr
    prior: str  # label of the backup that an incremental one builds on
    references: tuple[str, ...]  # labels of all backups that it needs
    first_segment: str
    last_segment: str
    lsn_start: int
    lsn_stop: int
    started: int
    stopped: int
    size: int
    repository_size: int
    failed: bool  # pages with wrong checksums were found
    history_id: int

    @property
    def timeline(self) -> int:
        """The timeline on which it was taken."""
        return Segment.parse(self.first_segment).timeline


@dataclass(frozen=True)
class History:
    """One server that the stanza has been of: the stanza gets another one with each major upgrade."""

    number: int
    system_identifier: int
    version: str

    @property
    def archive_id(self) -> str:
        """The folder of its WAL, such as 17-1."""
        return f"{self.version}-{self.number}"


@dataclass(frozen=True)
class Catalog:
    """A stanza: its backups from the oldest to the newest, and which server they are of."""

    backups: tuple[Backup, ...]
    archive_id: str  # the archive's folder, such as 17-1
    system_identifier: int
    version: str
    manifest_pass: str
    info: InfoFile
    histories: tuple[History, ...] = ()

    def history(self, number: int) -> History | None:
        """Return the server of this number, or None."""
        return next((one for one in self.histories if one.number == number), None)

    def archive_of(self, backup: Backup) -> str:
        """Return the folder of the WAL that follows a backup: the stanza may be another server's by now."""
        history = self.history(backup.history_id)
        return history.archive_id if history else self.archive_id

    def backups_of(self, system_identifier: int) -> list[Backup]:
        """Return the backups of one server, from the oldest to the newest."""
        numbers = {one.number for one in self.histories if one.system_identifier == system_identifier}
        return [one for one in self.backups if one.history_id in numbers]

    def get(self, label: str) -> Backup | None:
        """Return the backup of this label, or None."""
        return next((one for one in self.backups if one.label == label), None)


def read(store: Store) -> Catalog:
    """Read the stanza's catalogue from the repository.

    :raises ObjectMissing: when there is no stanza
    :raises WrongKey, RepositoryDamaged, UnknownFormat: when it cannot be read
    """
    info = read_info(store, f"backup/{store.location.stanza}/backup.info", store.location.cipher_pass)
    history = info.get("db", "db-id")
    version = info.get("db", "db-version")
    return Catalog(
        backups=tuple(_backup(label, facts) for label, facts in info.items("backup:current")),
        archive_id=f"{version}-{history}",
        system_identifier=info.get("db", "db-system-id"),
        version=version,
        manifest_pass=info.get("cipher", "cipher-pass"),
        info=info,
        histories=tuple(_history(number, facts) for number, facts in info.items("db:history")),
    )


def archive_pass(store: Store) -> str:
    """Return the passphrase of the archive's WAL segments."""
    name = f"archive/{store.location.stanza}/archive.info"
    return read_info(store, name, store.location.cipher_pass).get("cipher", "cipher-pass")


def read_info(store: Store, name: str, passphrase: str) -> InfoFile:
    """Read one of pgBackRest's info files, or its copy when it is missing or damaged, as pgBackRest itself does."""
    try:
        return _parse(store.read(name), passphrase)
    except (ObjectMissing, RepositoryDamaged, WrongKey) as error:
        try:
            return _parse(store.read(f"{name}.copy"), passphrase)
        except (ObjectMissing, RepositoryDamaged, WrongKey):
            raise error from None


def _parse(data: bytes, passphrase: str) -> InfoFile:
    try:
        text = cipher.decrypt(data, passphrase).decode()
    except UnicodeDecodeError as error:
        raise WrongKey(
            "a file of the repository cannot be decrypted",
            "Check the repository's passphrase: it must be the one with which the stanza was created.",
        ) from error
    return InfoFile.parse(text)


def _history(number: str, facts: dict[str, Any]) -> History:
    return History(int(number), facts["db-system-id"], facts["db-version"])


def _backup(label: str, facts: dict[str, Any]) -> Backup:
    references: Sequence[str] = facts.get("backup-reference") or ()
    return Backup(
        label=label,
        kind=facts["backup-type"],
        prior=facts.get("backup-prior") or "",
        references=tuple(references),
        first_segment=facts["backup-archive-start"],
        last_segment=facts["backup-archive-stop"],
        lsn_start=parse_lsn(facts["backup-lsn-start"]),
        lsn_stop=parse_lsn(facts["backup-lsn-stop"]),
        started=facts["backup-timestamp-start"],
        stopped=facts["backup-timestamp-stop"],
        size=facts["backup-info-size"],
        repository_size=facts["backup-info-repo-size-delta"],
        failed=bool(facts.get("backup-error")),
        history_id=facts["db-id"],
    )
