"""Where a repository is and how to get in: the only place that knows pgBackRest's variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

PREFIX = "PGBACKREST_REPO1_"


@dataclass(frozen=True)
class Location:
    """One stanza of a repository in S3; its secrets are never part of its text."""

    endpoint: str  # with or without https://
    bucket: str
    region: str
    key: str = field(repr=False)
    key_secret: str = field(repr=False)
    cipher_pass: str = field(repr=False)
    path: str = "/pgbackrest"
    stanza: str = "main"
    ca_file: str = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], stanza: str = "main") -> Location:
        """Read it from pgBackRest's own variables.

        :raises KeyError: when one of the necessary ones is missing
        """
        return cls(
            endpoint=environment[f"{PREFIX}S3_ENDPOINT"],
            bucket=environment[f"{PREFIX}S3_BUCKET"],
            region=environment[f"{PREFIX}S3_REGION"],
            key=environment[f"{PREFIX}S3_KEY"],
            key_secret=environment[f"{PREFIX}S3_KEY_SECRET"],
            cipher_pass=environment[f"{PREFIX}CIPHER_PASS"],
            path=environment.get(f"{PREFIX}PATH", cls.path),
            stanza=stanza,
            ca_file=environment.get(f"{PREFIX}STORAGE_CA_FILE", ""),
        )

    @classmethod
    def place_from_environment(cls, environment: Mapping[str, str]) -> dict[str, str]:
        """Return endpoint, bucket, region, path and ca_file, as far as pgBackRest's variables name an S3 repository."""
        if not environment.get(f"{PREFIX}S3_ENDPOINT"):
            return {}
        return {
            "endpoint": environment[f"{PREFIX}S3_ENDPOINT"],
            "bucket": environment.get(f"{PREFIX}S3_BUCKET", ""),
            "region": environment.get(f"{PREFIX}S3_REGION", ""),
            "path": environment.get(f"{PREFIX}PATH", cls.path),
            "ca_file": environment.get(f"{PREFIX}STORAGE_CA_FILE", ""),
        }

    def to_environment(self) -> dict[str, str]:
        """Return the variables by which pgBackRest finds it."""
        values = {
            "TYPE": "s3",
            "PATH": self.path,
            "S3_URI_STYLE": "path",
            "S3_ENDPOINT": self.endpoint,
            "S3_BUCKET": self.bucket,
            "S3_REGION": self.region,
            "S3_KEY": self.key,
            "S3_KEY_SECRET": self.key_secret,
            "CIPHER_TYPE": "aes-256-cbc",
            "CIPHER_PASS": self.cipher_pass,
            "STORAGE_CA_FILE": self.ca_file,
        }
        return {f"{PREFIX}{name}": value for name, value in values.items() if value}

    @property
    def url(self) -> str:
        """The endpoint as an address."""
        return self.endpoint if "://" in self.endpoint else f"https://{self.endpoint}"

    def object_key(self, name: str) -> str:
        """Return the key of a file of the repository, named below its path."""
        return f"{self.path.strip('/')}/{name}"
