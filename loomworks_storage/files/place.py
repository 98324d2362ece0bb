"""Where the tenants' files are backed up to, secrets by reference: as much as a row knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from ...loomworks_tenant import secret_reference
from ..filestore.location import PREFIX, Location

HTTPS_PORT = 443


@dataclass(frozen=True)
class Place:
    """A bucket, and references to the account that reads and writes it."""

    endpoint: str  # with or without https://
    bucket: str
    region: str
    key_reference: str
    key_secret_reference: str
    ca_file: str = ""

    def location(self, tenant: str) -> Location:
        """Return the part of the tenant with this uuid, secrets included; never kept in a row or a log.

        :raises SecretUnavailable: when a secret cannot be read
        """
        return Location(
            tenant=tenant,
            endpoint=self.endpoint,
            bucket=self.bucket,
            region=self.region,
            key=secret_reference.read(self.key_reference),
            key_secret=secret_reference.read(self.key_secret_reference),
            ca_file=self.ca_file,
        )

    @property
    def port(self) -> int:
        """The port at which the object store listens."""
        address = self.endpoint if "://" in self.endpoint else f"https://{self.endpoint}"
        return urlsplit(address).port or HTTPS_PORT

    @staticmethod
    def of_environment(environment: Mapping[str, str], prefix: str = PREFIX) -> dict[str, str]:
        """Return endpoint, bucket, region and ca_file, as far as the variables name an object store."""
        if not environment.get(f"{prefix}ENDPOINT"):
            return {}
        return {name: environment.get(f"{prefix}{name.upper()}", "") for name in FIELDS}


FIELDS = ("endpoint", "bucket", "region", "ca_file")
