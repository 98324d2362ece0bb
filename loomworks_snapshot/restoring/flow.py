"""A restore beside the living tenant, a little further at each call; killed anywhere, the next call goes on."""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from ...loomworks_tenant.errors import PermanentError, RetryableError
from ...loomworks_tenant.kube import job_output, jobs, names, tenant_pods
from ...loomworks_tenant.postgres.empty import make_empty
from ...loomworks_tenant.reconciler.step import Boundaries
from . import databases, job
from .spec import RestoreSpec

LOOK = 0.5  # seconds between two looks at a running restore
PASSWORD_BYTES = 32
STORES_AWAY = {"repository_unreachable", "filestore_unreachable"}  # codes
NAMED = 3  # keys that an error names


class RestoreFailed(PermanentError):
    """The Job ended with an error that another attempt would meet again; ``code`` is that of the error."""

    def __init__(self, message: str, hint: str = "", code: str = "restore_failed") -> None:
        super().__init__(message, hint)
        self.code = code


class RestoreBrokeOff(RetryableError):
    """The Job ended with an error that may not come again."""

    code = "restore_broke_off"


class StoreAway(RetryableError):
    """The Job ended because a store did not answer it: nothing is wrong with the restore."""

    code = "store_away"


class DatabaseInUse(PermanentError):
    """The restore's database has been put in the tenant's place: nothing of it may be removed or filled."""

    code = "database_in_use"


@dataclass(frozen=True)
class Progress:
    """Where a restore stands; ``report`` once it is done."""

    stage: str
    share: float = 0.0  # of the stage, 0 to 1
    report: dict[str, Any] = field(default_factory=dict)
    code: str = ""  # when something is wrong meanwhile

    @property
    def done(self) -> bool:
        """Whether the new database is filled."""
        return bool(self.report)


def advance(spec: RestoreSpec, world: Boundaries) -> Progress:
    """Bring the new database nearer to being there.

    :raises ScratchRefused: when there is no place where neighbours' pages may lie; nothing has been made then
    :raises RestoreFailed, RestoreBrokeOff, StoreAway: when the Job failed; what it left is removed, and a new call
        starts anew
    """
    _ensure_namespace(spec, world)
    found = jobs.begun(world.kube, spec.name, job.NAMESPACE)
    if found is None:
        _start(spec, world)
        return Progress("start")
    seen = job_output.look(world.kube, found, job.CONTAINER)
    said = seen.said
    if seen.state.ready:
        if "report" not in said:
            discard(spec, world)
            raise RestoreBrokeOff("the restore's last words are lost")
        return Progress("restored", 1.0, said["report"])
    if seen.failed:
        discard(spec, world)
        silent = f"the restore ended without a word: {seen.state.message}"
        away = said.get("error", {}).get("code") in STORES_AWAY
        raise job_output.failure(said, StoreAway if away else RestoreBrokeOff, RestoreFailed, silent)
    return Progress(said.get("stage", "start"), said.get("share", 0.0), code=seen.state.code)


def clean_up(spec: RestoreSpec, world: Boundaries) -> None:
    """Remove what only the restore itself needed; the new database stays."""
    _delete_objects(spec, world)
    if spec.request.loads:
        databases.drop_filler(world.server, spec.role, spec.database)


def discard(spec: RestoreSpec, world: Boundaries) -> None:
    """Remove everything, the new database included.

    :raises DatabaseInUse: when that is in the tenant's place by now
    """
    _refuse_in_use(spec)
    _delete_objects(spec, world)
    if spec.request.loads:
        world.server.drop_database(spec.database)  # while there is a role whose sessions can be ended
        databases.drop_filler(world.server, spec.role, spec.database)


def _delete_objects(spec: RestoreSpec, world: Boundaries) -> None:
    for kind in ("Job", "Secret", "NetworkPolicy"):
        world.kube.delete(kind, spec.name, job.NAMESPACE)


def is_served(uuid: str, database: str, world: Boundaries) -> bool:
    """Tell whether the tenant's traffic goes to the pods of ``database``."""
    service = world.kube.get("Service", names.ODOO, names.namespace(uuid)) or {"spec": {}}
    return service["spec"].get("selector", {}).get(names.DATABASE_LABEL) == database


def switched_at(uuid: str, world: Boundaries) -> datetime | None:
    """Return when the tenant's traffic last went elsewhere, by the API server's clock (UTC); None where it did not say.

    The server notes when a manager has changed what it owns of an object, to the second; applying the same does not
    count (ManagedFieldsEntry.time). Only the switch changes the Service of a tenant that is being restored.
    """
    service = world.kube.get("Service", names.ODOO, names.namespace(uuid)) or {"metadata": {}}
    managers = service["metadata"].get("managedFields", [])
    times = [one["time"] for one in managers if one.get("manager") == names.FIELD_MANAGER and one.get("time")]
    return datetime.fromisoformat(max(times)) if times else None


def has_pods(uuid: str, database: str, world: Boundaries) -> bool:
    """Tell whether any pod of ``database`` is left."""
    return bool(tenant_pods.living(world.kube, uuid, database))


def check(spec: RestoreSpec, world: Boundaries, report: dict[str, Any]) -> None:
    """Look into the new database before anybody else does.

    :raises RestoreFailed: when it is no Odoo's, lacks tables, or foreign keys are NOT VALID that were not at the moment
    """
    found = databases.content(world.server, spec.database)
    if not found["is_odoo"]:
        raise RestoreFailed("the restored database is not that of an Odoo", code="not_an_odoo")
    if found["tables"] != report["tables"]:
        raise RestoreFailed(
            f"{report['tables']} tables were restored, and {found['tables']} have arrived", code="incomplete"
        )
    unchecked = databases.unchecked_keys(world.server, spec.database) - set(report.get("unchecked_keys", ()))
    if unchecked:
        raise RestoreFailed(
            f"{len(unchecked)} foreign key(s) were not checked: {', '.join(sorted(unchecked)[:NAMED])}",
            "They were valid at that moment. Try again; nothing has been put in place.",
            code="unchecked_keys",
        )


def _ensure_namespace(spec: RestoreSpec, world: Boundaries) -> None:
    if not world.kube.get("Namespace", job.NAMESPACE):
        world.kube.apply(job.namespace())
    world.kube.apply(job.role_binding(spec))


def _start(spec: RestoreSpec, world: Boundaries) -> None:
    """The password is kept before the role has it."""
    _refuse_in_use(spec)
    spec.scratch.require()
    password = _password(spec, world)
    if spec.request.loads:
        make_empty(world.server, spec.database, spec.tenant.role)
        databases.ensure_filler(world.server, spec.role, password, spec.tenant.role, spec.database)
    jobs.start(world.kube, job.job(spec), job.network_policy(spec), _secret(spec, password))


def _refuse_in_use(spec: RestoreSpec) -> None:
    if spec.database in spec.in_use:
        raise DatabaseInUse(f"the database {spec.database} is the tenant's own now: it is not touched")


def _password(spec: RestoreSpec, world: Boundaries) -> str:
    found = world.kube.get("Secret", spec.name, job.NAMESPACE)
    known = base64.b64decode(found["data"]["PGPASSWORD"]).decode() if found else ""
    password = known or secrets.token_urlsafe(PASSWORD_BYTES)
    world.kube.apply(_secret(spec, password))
    return password


def _secret(spec: RestoreSpec, password: str) -> job.Manifest:
    return job.secret(spec, password, Path(spec.location.ca_file).read_text() if spec.location.ca_file else "")
