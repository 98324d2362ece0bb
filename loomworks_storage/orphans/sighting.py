"""What was seen of one object, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Kind(StrEnum):
    """What tenants leave behind."""

    JOB = "job"
    NAMESPACE = "namespace"
    CLAIM = "claim"  # PersistentVolumeClaim
    VOLUME = "volume"  # PersistentVolume, whose claim is gone
    DATABASE = "database"
    TEMPLATE = "template"  # a plan's template database
    ROLE = "role"
    FILES = "files"  # the objects of a tenant's files in S3
    EXPORTS = "exports"  # the files in S3 that its customer asked for


# In this order: what is used goes after what uses it.
ORDER = list(Kind)
IN_CLUSTER = frozenset({Kind.JOB, Kind.NAMESPACE, Kind.CLAIM, Kind.VOLUME})
ON_SERVER = frozenset({Kind.DATABASE, Kind.TEMPLATE, Kind.ROLE})
IN_BUCKET = frozenset({Kind.FILES, Kind.EXPORTS})


@dataclass(frozen=True)
class Sighting:
    """One object of ours."""

    kind: Kind
    name: str
    tenant: str = ""  # uuid; a template has none
    namespace: str = ""
    uid: str = ""  # of a Kubernetes object: another one of the same name has another
    claim_uid: str = ""  # of a volume: the claim that it was bound to
    lost: str = ""  # of a claim: the volume that it was bound to and that is gone
    created: datetime | None = None  # UTC; databases, roles and prefixes do not say
    size: int | None = None  # bytes
    evidence: str = ""  # what was seen, in words
    refusal: str = ""  # why it cannot be removed as it is now

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What tells this object from every other one of its place."""
        return (self.kind.value, self.namespace, self.name, self.uid)
