"""Where a tenant's files are kept and how to get in: the only place that knows the variables' names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from .errors import SettingMissing

PREFIX = "LOOMWORKS_FILESTORE_S3_"
TENANTS = "filestores/"  # the folder of all tenants in the bucket
EXPORTS = "exports/"  # beside it: files that customers asked for, a folder for each tenant as well

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True)
class Location:
    """One tenant's part of a bucket; its secrets are never part of its text."""

    tenant: str  # uuid
    endpoint: str  # with or without https://
    bucket: str
    region: str
    key: str = field(repr=False)
    key_secret: str = field(repr=False)
    ca_file: str = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], tenant: str) -> Location:
        """Read it from the variables ``LOOMWORKS_FILESTORE_S3_*``.

        :raises SettingMissing: naming the first that is not there
        """
        try:
            return cls(
                tenant=str(UUID(tenant)),
                endpoint=environment[f"{PREFIX}ENDPOINT"],
                bucket=environment[f"{PREFIX}BUCKET"],
                region=environment[f"{PREFIX}REGION"],
                key=environment[f"{PREFIX}KEY"],
                key_secret=environment[f"{PREFIX}KEY_SECRET"],
                ca_file=environment.get(f"{PREFIX}CA_FILE", ""),
            )
        except KeyError as error:
            raise SettingMissing(f"the variable {error.args[0]} is not set") from error
        except ValueError as error:
            raise SettingMissing(f"{tenant!r} is not the uuid of a tenant") from error

    def to_environment(self) -> dict[str, str]:
        """Return the variables that :meth:`from_environment` reads."""
        values = {
            "ENDPOINT": self.endpoint,
            "BUCKET": self.bucket,
            "REGION": self.region,
            "KEY": self.key,
            "KEY_SECRET": self.key_secret,
            "CA_FILE": self.ca_file,
        }
        return {f"{PREFIX}{name}": value for name, value in values.items() if value}

    @property
    def url(self) -> str:
        """The endpoint as an address."""
        return self.endpoint if "://" in self.endpoint else f"https://{self.endpoint}"

    def object_key(self, name: str) -> str:
        """Return the key in the bucket of an object named below the tenant's prefix."""
        return f"{TENANTS}{self.tenant}/{name}"


def content_name(digest: str) -> str:
    """Return the name of the object that holds the content of this SHA-1."""
    return f"objects/{digest[:2]}/{digest}"


def pack_name(identity: str) -> str:
    """Return the name of the object that is the pack of this identity."""
    return f"packs/{identity[:2]}/{identity}"


def base_name(identity: str) -> str:
    """Return the name of the object that is the base of this identity."""
    return f"bases/{identity}"


def manifest_name(name: str) -> str:
    """Return the name of the object that holds the manifest ``name``.

    :raises SettingMissing: when it is no name for an object
    """
    if not _NAME.fullmatch(name):
        raise SettingMissing(
            f"{name!r} is no name for a manifest", "Use letters, digits, dots, hyphens and underscores, at most 128."
        )
    return f"manifests/{name}.jsonl.gz"
