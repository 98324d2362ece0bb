"""A database's files, brought from S3 before its Odoo starts; and the end of the key when the tenant ends."""

from __future__ import annotations

from typing import Any

from ...loomworks_tenant.reconciler.spec import TenantSpec, fingerprint
from ...loomworks_tenant.reconciler.step import Answer, Boundaries, Done, Step, Waiting
from ...loomworks_tenant.reconciler.steps.data import owner
from ..files import flow, keys
from ..files.errors import FilesLost, PlaceUnset
from ..files.spec import FilesWork, folder
from ..filestore.needed import needed
from ..filestore.request import Command, Request
from .stopping import stopping

STOPPING_LOOK = 1.0  # seconds between two looks at pods that stop
JOB = "files-restore-"  # with which the name of the Job begins that brings a database's files


class Files(Step):
    """The files of a manifest are on the tenant's volume: linked where it has them, fetched where it has not.

    A volume of one pod has to be given up by the tenant's Odoo, which is started with them.
    """

    code = "files"
    title = "Files"

    def inputs(self, spec: TenantSpec) -> Any:
        return [spec.database, spec.files.source, spec.files.manifest]

    def ensure(self, spec: TenantSpec, world: Boundaries) -> Answer:
        if spec.files.restored:
            return Done("there already")
        work, key = files_work(spec), keys.read(world.kube, spec.files.source)
        if flow.has_one_pod(spec) and (pods := stopping(spec, world)):
            return Waiting(f"the plan lets one pod have the volume: {pods} pod(s) are stopping", STOPPING_LOOK)
        found = flow.advance(work, key, world)
        if not found.done:
            return Waiting(_said(found), flow.LOOK, found.code)
        lost = _lost(spec, found.report, world)
        flow.clean_up(work, world)
        if lost:
            raise FilesLost(
                f"{lost} file(s) that the database needs are neither on the volume nor whole in S3",
                "Bring their objects back and use Retry, or start the tenant without them.",
            )
        report = found.report
        return Done(f"{report['files']}: {report['kept'] + report['linked']} there, {report['fetched']} from S3")


def files_work(spec: TenantSpec) -> FilesWork:
    """Return the Job that fills the folder of the tenant's database.

    :raises PlaceUnset: when the cluster does not say where files are
    """
    files = spec.files
    if files.place is None:
        raise PlaceUnset
    other = spec.previous_database
    request = Request(
        Command.RESTORE,
        files.source,
        files.manifest,
        folder=folder(spec, spec.database),
        living=folder(spec, other) if other and other != spec.database else "",
        verify=True,  # what has rotted on the volume has its size still; users go on working meanwhile
    )
    name = f"{JOB}{fingerprint([spec.database, files.source, files.manifest])[:10]}"
    return FilesWork(name, spec, files.place, request)


def give_up(spec: TenantSpec, world: Boundaries) -> None:
    """Have nothing bring the database's files any more: its Job would keep a volume of one pod from others."""
    if spec.files and spec.files.place:
        flow.clean_up(files_work(spec), world)


def _said(found: flow.Progress) -> str:
    if found.message and (found.code or found.stage == "start"):
        return found.message
    return f"{found.stage}, {found.share:.0%}"


def _lost(spec: TenantSpec, report: dict[str, Any], world: Boundaries) -> int:
    """Return how many of the files that could not be restored the database needs."""
    failed = {*report["missing"], *report["damaged"]}
    if not failed:
        return 0
    count = sum(report.get(f"{name}_count", len(report[name])) for name in ("missing", "damaged"))
    if count > len(failed):
        return count  # only some are named: all of them may be needed
    with world.server.connect(spec.database, owner=owner(world, spec)) as cr:
        return len({one.digest for one in needed(cr)} & failed)


class FilesKey(Step):
    """The key of the tenant's files, made with the first backup; erased with the tenant, its objects are noise."""

    code = "files_key"
    title = "Key of the files"
    goals = frozenset()

    def remove(self, spec: TenantSpec, world: Boundaries) -> Answer:
        return Done("erased" if keys.erase(world.kube, spec.uuid) else "")
