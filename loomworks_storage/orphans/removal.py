"""Take one orphan away: looked at once more, refused when it is another one by now, and never by force.

Finalizers are left to whom they belong: what they hold is waited for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...loomworks_tenant.errors import Conflict, PermanentError
from ...loomworks_tenant.kube import names
from ...loomworks_tenant.kube.client import KubeClient
from ...loomworks_tenant.postgres import template
from ...loomworks_tenant.postgres.server import DatabaseServer
from ..files import keys
from ..filestore.collect import remove_all
from ..filestore.store import Store
from . import exports, listing, recognise
from .sighting import IN_CLUSTER, ON_SERVER, Kind, Sighting

API_KINDS = {
    Kind.JOB: "Job",
    Kind.NAMESPACE: "Namespace",
    Kind.CLAIM: "PersistentVolumeClaim",
    Kind.VOLUME: "PersistentVolume",
}
# What goes with each; shown before anything is asked for.
CONSEQUENCES = {
    Kind.JOB: "the Job and its pods, and the credentials and network rules that it was given",
    Kind.NAMESPACE: "the namespace and everything in it: claims, Secrets, pods",
    Kind.CLAIM: "the claim; its volume goes with it where the reclaim policy is Delete, else it stays as “Released”",
    Kind.VOLUME: "the PersistentVolume; where its policy is Retain, the storage behind it stays with the provider",
    Kind.DATABASE: "the database and all that is in it",
    Kind.TEMPLATE: "the template database; one that a plan needs is built again",
    Kind.ROLE: "the role",
    Kind.FILES: "every object below the prefix, and the key that reads them",
    Kind.EXPORTS: "every file that was made for the customer",
}


class Refused(PermanentError):
    """It is not the orphan any more that was seen, or it is in use."""

    code = "orphan_refused"


@dataclass(frozen=True)
class Place:
    """Where an orphan is: as much of it as its kind needs."""

    kube: KubeClient | None = None
    server: DatabaseServer | None = None
    store: Store | None = None  # of the files, or of the exports


def look(one: Sighting, place: Place) -> Sighting | None:
    """Return the object as it is now; None when it is gone.

    :raises Refused: when there is another one in its place
    """
    found = _look(one, place)
    if found and (found.key != one.key or found.tenant != one.tenant):
        raise Refused(f"{one.name} is another one than the one that was found")
    return found


def _look(one: Sighting, place: Place) -> Sighting | None:
    if one.kind in IN_CLUSTER:
        kind = API_KINDS[one.kind]
        found = _object(kind, one.name, one.namespace, place)
        recognised = found and recognise.CLUSTER_KINDS[kind](found)
        if found and not recognised:
            raise Refused(f"{one.name} is no orphan of Loomworks' any more")
        return recognised
    if one.kind in ON_SERVER:
        seen = listing.of_server(place.server)
        return next((other for other in seen if (other.kind, other.name) == (one.kind, one.name)), None)
    return one if _is_used(one, place.store) else None


def _object(kind: str, name: str, namespace: str, place: Place) -> dict[str, Any] | None:
    """By a list of one: to read a single object takes a right in its namespace, which may be all that is left."""
    return next(iter(place.kube.list(kind, namespace or None, field_selector=f"metadata.name={name}")), None)


def beside(one: Sighting, place: Place) -> list[Sighting]:
    """Return what has to be seen beside an orphan to judge it: the claim that the tenant of a volume has now."""
    if one.kind != Kind.VOLUME:
        return []
    found = _object(API_KINDS[Kind.CLAIM], names.volume_claim(one.tenant), names.namespace(one.tenant), place)
    return [claim] if found and (claim := recognise.claim(found)) else []


def remove(one: Sighting, place: Place) -> bool:
    """Have the orphan be away; False: asked for, look again.

    :raises Refused: when it is another one by now, or in use
    """
    found = look(one, place)
    if not found:
        return True
    if one.kind in IN_CLUSTER:
        return _remove_object(found, place)
    if found.refusal:
        raise Refused(found.refusal)
    if one.kind in ON_SERVER:
        _remove_from_server(found, place.server)
        return True
    if one.kind == Kind.EXPORTS:
        exports.remove(place.store, one.tenant)
    else:
        remove_all(place.store)
        keys.erase(place.kube, one.tenant)
    return not _is_used(one, place.store)


def _is_used(one: Sighting, store: Store) -> bool:
    return exports.is_used(store, one.tenant) if one.kind == Kind.EXPORTS else store.is_used()


def _remove_object(found: Sighting, place: Place) -> bool:
    """Its UID is a condition: the API server itself refuses one that has come in its place since the last look."""
    if found.refusal:
        return False  # it is on its way
    try:
        return not place.kube.delete(API_KINDS[found.kind], found.name, found.namespace or None, uid=found.uid)
    except Conflict as error:
        raise Refused(f"{found.name} is another one than the one that was found") from error


def _remove_from_server(found: Sighting, server: DatabaseServer) -> None:
    if found.kind == Kind.ROLE:
        server.drop_role(found.name)
    else:
        template.drop(server, found.name)  # closed first; no template any more, if it was one


def described(one: Sighting) -> str:
    """Say what would be removed, as a person reads it."""
    where = f"{one.namespace}/" if one.namespace else ""
    identity = f" (uid {one.uid})" if one.uid else ""
    return f"{where}{one.name}{identity}: {CONSEQUENCES[one.kind]}"
