"""The sweep: lists of what is there, compared with the rows as they are before and after."""

import logging
from collections import defaultdict, namedtuple
from datetime import timedelta
from functools import partial
from itertools import chain

from odoo import api, fields, models
from odoo.addons.loomworks_tenant.errors import LoomworksError
from odoo.addons.loomworks_tenant.kube import names, template_job
from odoo.addons.loomworks_tenant.postgres.server import DatabaseServer as Server
from odoo.addons.loomworks_tenant.reconciler.spec import first_database

from ..filestore.store import Store
from ..orphans import exports, listing
from ..orphans.compare import REMEDIES, Expected, Known, missing, orphans
from ..orphans.sighting import IN_BUCKET, IN_CLUSTER, ON_SERVER, Kind
from .files_backup import UNFINISHED
from .orphan import LIVE

_logger = logging.getLogger(__name__)

NOBODY = "00000000-0000-0000-0000-000000000000"  # the bucket is listed as a whole
STANDING = ("active", "suspended", "archived")
STARTED = timedelta(minutes=10)  # within which the Job of a backup that runs has been made

# One place that is listed as a whole: which rows (clusters or servers) say where it is, which kinds are there, how it
# is listed, and whether there is anything in what was listed: a store may list the folder of objects that are gone.
Area = namedtuple("Area", "rows kinds look used", defaults=[lambda one: True])


class OrphanSweep(models.Model):
    """Looking for orphans."""

    _inherit = "loomworks.orphan"

    @api.model
    def _cron_sweep(self):
        """Look everywhere, and bring the findings up to date; a place that cannot be asked keeps its own."""
        areas, expected = self._areas(), self._expected()
        self._end_transaction(len(areas))  # so that what follows holds no snapshot of the rows
        listed = [(area, *_listed(area)) for area in areas]
        self._end_transaction()
        known = self._known()  # as the rows are after the objects were listed
        still = set(self._expected())  # what was taken away meanwhile, on purpose, is not missing
        expected = [one for one in expected if one in still]
        for area, found, _error in listed:
            left = _left(area, found, known)
            if left is not None:
                self._record_area(area, left, expected, found)
            self.env["ir.cron"]._commit_progress(1)
        self._note(listed)

    def _end_transaction(self, remaining=None):
        self.env["ir.cron"]._commit_progress(remaining=remaining)
        self.env.invalidate_all()

    @api.model
    def _areas(self):
        """Return the places to look at, each once; what they need is read from the rows now."""
        clusters = self.env["loomworks.cluster"]._in_use()
        servers = self.env["loomworks.database.server"]._in_use()
        # Of several rows for one server, one that is in use knows the password.
        servers = servers.sorted("active", reverse=True)
        areas = [
            Area(same, IN_CLUSTER, partial(listing.of_cluster, same[0]._client()))
            for same in clusters.grouped(lambda one: (one.kubeconfig, one.context)).values()
        ]
        areas += [
            _bucket(same, place) for place, same in clusters.grouped(lambda one: one._files_place()).items() if place
        ]
        for same in servers.grouped(lambda one: (one.host, one.port)).values():
            spec = same[0]._to_spec()
            areas.append(Area(same, ON_SERVER, lambda spec=spec: listing.of_server(Server(spec))))
        return areas

    # --- what rows name -------------------------------------------------------------------------------

    @api.model
    def _known(self):
        """Return what the rows name by now. Drafts and what is on its way out count: they are somebody's."""
        tenants = self.env["loomworks.tenant"].search([("erased_at", "=", False)])
        busy = tenants.filtered("reconcile_at")
        unfinished = ["|", ("state", "in", UNFINISHED), ("reconcile_at", "!=", False)]
        backups = self.env["loomworks.files.backup"].search(unfinished)
        removing = self.env["loomworks.files.backup"].search([("manifest", "!=", False), ("removed", "=", False)])
        needed = {*tenants.mapped("files_source_uuid"), *removing.tenant_id.mapped("uuid")}
        return Known(
            tenants=frozenset(tenants.mapped("uuid")),
            busy=frozenset(busy.mapped("uuid")),
            jobs=frozenset(self._named_jobs(backups)),
            databases=frozenset(name for tenant in tenants for name in tenant._named_databases()),
            templates=frozenset(self._named_templates()),
            files=frozenset(filter(None, needed)),
        )

    @api.model
    def _named_jobs(self, backups):
        """Yield namespace and name of the Jobs of work that goes on; addons add theirs."""
        yield from ((names.namespace(one.tenant_id.uuid), one._job_name()) for one in backups)
        imports = self.env["loomworks.import"].search([("reconcile_at", "!=", False), ("tenant_id", "!=", False)])
        for one in imports:
            for name in (f"import-{one.id}", f"import-{one.id}-modules"):
                yield names.namespace(one.tenant_id.uuid), name
        building = ["|", ("state", "!=", "ready"), ("reconcile_at", "!=", False)]
        for one in self.env["loomworks.template"].search(building):
            yield template_job.NAMESPACE, one._to_spec().job

    @api.model
    def _named_templates(self):
        for template in self.env["loomworks.template"].search([]):
            spec = template._to_spec()
            yield from filter(None, (template.database_name, spec.database, spec.building))

    @api.model
    def _expected(self):
        """Return what settled tenants have to have, by place."""
        domain = [("state", "in", STANDING), ("erased_at", "=", False), ("erase_requested", "=", False)]
        settled = self.env["loomworks.tenant"].search(
            [*domain, ("reconcile_at", "=", False), ("converged_at", "!=", False)]
        )
        backed_up = self.env["loomworks.files.backup"].search(
            [("state", "=", "done"), ("tenant_id", "in", settled.ids)]
        )
        found = []
        for tenant in settled.filtered("server_id"):
            uuid, home = tenant.uuid, names.namespace(tenant.uuid)
            here = [Expected(Kind.NAMESPACE, home, uuid), Expected(Kind.CLAIM, names.volume_claim(uuid), uuid, home)]
            found += [(tenant.cluster_id, one) for one in here]
            stored = [
                Expected(Kind.DATABASE, tenant.database_name, uuid),
                Expected(Kind.ROLE, first_database(uuid), uuid),
            ]
            found += [(tenant.server_id, one) for one in stored]
        found += [(one.cluster_id, Expected(Kind.FILES, one.uuid, one.uuid)) for one in backed_up.tenant_id]
        return [*found, *self._expected_jobs()]

    @api.model
    def _expected_jobs(self):
        """Yield the Jobs of backups that have been running for so long that each has had one."""
        since = fields.Datetime.now() - STARTED
        for one in self.env["loomworks.files.backup"].search([("state", "=", "running"), ("began_at", "<", since)]):
            tenant = one.tenant_id
            job = Expected(Kind.JOB, one._job_name(), tenant.uuid, names.namespace(tenant.uuid))
            yield tenant.cluster_id, job

    # --- keeping what was found -----------------------------------------------------------------------

    def _record_area(self, area, found, expected, seen):
        """Bring the rows of one area to what was found there."""
        wanted = [one for where, one in expected if one.kind in area.kinds and where in area.rows]
        where = {_naming(area): area.rows[0].id}
        rows, again = self._live_rows(area)
        now = fields.Datetime.now()
        fresh = []
        for values in [*map(_orphan_values, found), *(self._missing_values(one) for one in missing(wanted, seen))]:
            row = rows.pop(_key(values), None)
            if row:
                row.write({"last_seen_at": now, **{name: values[name] for name in SEEN}})
            else:
                fresh.append({**values, **where, "first_seen_at": now, "last_seen_at": now})
        self.create(fresh)
        gone = again.union(*rows.values())
        gone.filtered(lambda one: one.state == "open").write({"state": "gone", "closed_at": now})

    def _live_rows(self, area):
        """Return the rows there are of an area by their keys, and those that name the same once more."""
        kinds = [kind.value for kind in area.kinds]
        found = self.search([(_naming(area), "in", area.rows.ids), ("state", "in", LIVE), ("kind", "in", kinds)])
        rows = {_key(row): row for row in found.sorted("id", reverse=True)}
        return rows, found - self.union(*rows.values())

    def _missing_values(self, one):
        tenant = self.env["loomworks.tenant"].search([("uuid", "=", one.tenant)], limit=1)
        return {
            "kind": one.kind.value,
            "missing": True,
            "name": one.name,
            "namespace": one.namespace or False,
            "uid": False,
            "tenant_uuid": one.tenant,
            "tenant_id": tenant.id,
            "evidence": self.env._("The row of “%s” names it; it is not there.", tenant.name),
            "remedy": REMEDIES[one.kind],
            "size_bytes": 0,
            "created_at": False,
        }

    def _note(self, listed):
        """Say on the clusters' forms when orphans were last looked for, and what could not be asked."""
        problems = defaultdict(list)
        for area, _found, error in listed:
            for cluster in area.rows if area.rows._name == "loomworks.cluster" else area.rows.cluster_id:
                problems[cluster] += [str(error).split("\n")[0]] if error else []
        for cluster, texts in problems.items():
            cluster.write({"orphans_swept_at": fields.Datetime.now(), "orphans_problem": "; ".join(texts) or False})


class Tenant(models.Model):
    """A tenant whose databases are known by name."""

    _inherit = "loomworks.tenant"

    def _named_databases(self):
        """Return the names of the databases that are this tenant's; addons add theirs."""
        self.ensure_one()
        return {name for name in (self.database_name, self.previous_database) if name}


def _naming(area):
    """Return the field of an orphan that names the place."""
    return "cluster_id" if area.rows._name == "loomworks.cluster" else "server_id"


def _bucket(clusters, place):
    def look():
        location = place.location(NOBODY)
        return chain(listing.of_bucket(Store(location)), listing.of_exports(exports.beside(location)))

    def used(one):
        return one.kind == Kind.EXPORTS or Store(place.location(one.tenant)).is_used()

    return Area(clusters, IN_BUCKET, look, used)


def _listed(area):
    """Return what is in an area and None, or None and the error."""
    try:
        return list(area.look()), None
    except LoomworksError as error:
        _logger.warning("orphans cannot be looked for: %s", error)
        return None, error


def _left(area, found, known):
    """Return the orphans of an area; None where it cannot be asked."""
    if found is None:
        return None
    try:
        return [one for one in orphans(found, known) if area.used(one)]
    except LoomworksError as error:
        _logger.warning("orphans cannot be looked at: %s", error)
        return None


def _orphan_values(one):
    told = ". ".join(filter(None, (one.evidence, one.refusal)))
    return {
        "kind": one.kind.value,
        "missing": False,
        "name": one.name,
        "namespace": one.namespace or False,
        "uid": one.uid or False,
        "tenant_uuid": one.tenant or False,
        "tenant_id": False,
        "evidence": told,
        "remedy": False,
        "size_bytes": one.size or 0,
        "created_at": one.created or False,
    }


def _key(values):
    return tuple(values[name] or "" for name in ("kind", "missing", "namespace", "name", "uid"))


SEEN = ("evidence", "size_bytes")
