"""Which of the objects seen no row names, and which of those that rows name were not seen.

The order of looks matters. A row is made before its objects, and gone only after them: rows that are read *after* the
objects name every one that has an owner; rows that are read *before* them name only what must be there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .recognise import OWN_JOBS
from .sighting import Kind, Sighting


@dataclass(frozen=True)
class Known:
    """What the rows name, read after the objects were listed."""

    tenants: frozenset[str] = frozenset()  # uuids, from the draft on until all is erased
    busy: frozenset[str] = frozenset()  # of them: those that are being worked on
    jobs: frozenset[tuple[str, str]] = frozenset()  # (namespace, name)
    databases: frozenset[str] = frozenset()
    templates: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()  # uuids whose objects in S3 are needed, or are being removed


@dataclass(frozen=True)
class Expected:
    """An object that a settled row names, read before the objects were listed; ``place`` says where it has to be."""

    kind: Kind
    name: str
    tenant: str
    namespace: str = ""


# What helps where something is missing; nothing here brings data back by itself.
REMEDIES = {
    Kind.NAMESPACE: "Somebody has deleted the namespace, and with it the claim. “Retry” makes the namespace again, not "
    "the claim. Look for a volume of its among the orphans; else reset the tenant: the files are in S3.",
    Kind.CLAIM: "Look for a volume of its among the orphans, to be claimed again; “Retry” makes no empty claim. Else "
    "reset the tenant, which brings the files back from S3; a restored snapshot makes no claim.",
    Kind.DATABASE: "Do not use “Retry”: it would make an empty one. Restore a snapshot into a copy, or the server.",
    Kind.ROLE: "“Retry” makes the role again; its database stays as it is.",
    Kind.VOLUME: "The claim has lost its volume and all data on it: reset the tenant, which restores the files.",
    Kind.JOB: "A backup of files runs by its row, and its Job is not there. It is made again at the next look; else "
    "see the problem on the backup's page.",
    Kind.FILES: "Back up the files now: every earlier backup of them is gone.",
}


def orphans(seen: Iterable[Sighting], known: Known) -> list[Sighting]:
    """Return what no row names."""
    seen = list(seen)
    claims = {one.tenant: one.uid for one in seen if one.kind == Kind.CLAIM}
    return [one for one in seen if not _is_named(one, known, claims)]


def _is_named(one: Sighting, known: Known, claims: dict[str, str]) -> bool:
    if one.kind == Kind.TEMPLATE:
        return one.name in known.templates
    own = one.kind == Kind.JOB and one.namespace in OWN_JOBS  # work with a row of its own, also for no tenant
    if one.tenant not in known.tenants and not own:
        return one.kind == Kind.FILES and one.tenant in known.files
    if one.kind == Kind.VOLUME:
        # With no claim of the tenant's in sight, this may be all that is left of its data.
        return claims.get(one.tenant) in (None, one.claim_uid)
    if one.kind == Kind.JOB:
        return one.tenant in known.busy or (one.namespace, one.name) in known.jobs
    if one.kind == Kind.DATABASE:
        return one.tenant in known.busy or one.name in known.databases
    return True  # its namespace, its claim, its role, its files


def missing(expected: Iterable[Expected], seen: Iterable[Sighting]) -> list[Expected]:
    """Return what rows name and was not seen, and the volumes that their claims have lost."""
    there = {(one.kind, one.namespace, one.name) for one in seen}
    claims = {one.name for one in expected if one.kind == Kind.CLAIM}
    lost = [Expected(Kind.VOLUME, one.lost, one.tenant) for one in seen if one.lost and one.name in claims]
    return [one for one in expected if (one.kind, one.namespace, one.name) not in there] + lost
