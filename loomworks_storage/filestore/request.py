"""What is asked of a Job, as plain values that pass through its environment as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum

from .errors import SettingMissing


class Command(StrEnum):
    """What there is to do."""

    BACKUP = "backup"
    CHECK = "check"
    RESTORE = "restore"


@dataclass(frozen=True)
class Request:
    """Work on one manifest of one tenant."""

    command: Command
    tenant: str  # uuid
    manifest: str  # its name
    folder: str = ""  # the database's own, such as /var/lib/odoo/filestore/t_…; a check needs none
    database: str = ""  # backup: recorded in the manifest
    may_lack: bool = False  # backup: a folder that is not there has no files; else that is an error
    audit: bool = False  # backup: look into every directory and hash every file
    replace: tuple[str, ...] = ()  # backup: digests whose objects are damaged
    sample: int | None = 100  # check: how many contents are read; None: all
    living: str = ""  # restore: a folder on the same volume whose files may be linked
    verify: bool = False  # restore: hash what is there already
    prune: bool = False  # restore: remove what the manifest does not name

    def to_json(self) -> str:
        """Return it as text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Request:
        """Read what :meth:`to_json` wrote.

        :raises SettingMissing: when it is not that
        """
        try:
            values = json.loads(text)
            values["replace"] = tuple(values.get("replace", ()))
            return cls(**{**values, "command": Command(values["command"])})
        except (ValueError, TypeError, KeyError) as error:
            raise SettingMissing(f"the request cannot be read: {error}") from error
