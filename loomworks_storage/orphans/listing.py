"""See what is there: a paged LIST for each kind of a cluster, two queries on a server, one listing of a bucket."""

from __future__ import annotations

from collections.abc import Iterator

from ...loomworks_tenant.kube import names
from ...loomworks_tenant.kube.client import KubeClient
from ...loomworks_tenant.postgres.server import DatabaseServer
from ..filestore.store import Store
from . import exports, recognise
from .sighting import Sighting

OURS = f"{names.MANAGED_BY}={names.FIELD_MANAGER}"
SELECTOR = f"{OURS},{names.TENANT_LABEL}"
SELECTORS = {"Job": OURS}  # one that builds a template is of no tenant
UNLABELLED = frozenset({"PersistentVolume"})

# Databases with their owners; who administers a role may act as it. One that is on its way out has no size.
DATABASES = """
    SELECT d.datname, r.rolname AS owner, d.datallowconn, d.datistemplate, r.rolname = current_user AS mine,
           pg_has_role(current_user, r.oid, 'MEMBER') AND NOT r.rolsuper AS administered,
           (SELECT count(*) FROM pg_stat_activity a WHERE a.datid = d.oid AND a.backend_type = 'client backend')
               AS connections,
           CASE WHEN d.datconnlimit <> -2 AND pg_has_role(current_user, r.oid, 'MEMBER')
                THEN pg_database_size(d.oid) END AS size
      FROM pg_database d JOIN pg_roles r ON r.oid = d.datdba
     WHERE starts_with(d.datname, 't_') OR starts_with(d.datname, 'loomworks_template_')
"""

ROLES = """
    SELECT r.rolname, r.rolsuper OR r.rolcreatedb OR r.rolcreaterole OR r.rolreplication AS powerful,
           pg_has_role(current_user, r.oid, 'MEMBER') AND NOT r.rolsuper AS administered,
           (SELECT count(*) FROM pg_database d WHERE d.datdba = r.oid) AS databases
      FROM pg_roles r WHERE starts_with(r.rolname, 't_')
"""


def of_cluster(kube: KubeClient) -> Iterator[Sighting]:
    """Yield what tenants have in the cluster, and the Jobs in the control plane's own namespaces."""
    for kind, recognised in recognise.CLUSTER_KINDS.items():
        filters = {} if kind in UNLABELLED else {"label_selector": SELECTORS.get(kind, SELECTOR)}
        yield from filter(None, (recognised(found) for found in kube.list(kind, **filters)))


def of_server(server: DatabaseServer) -> Iterator[Sighting]:
    """Yield the databases and roles of tenants, and the templates, on one server."""
    with server.connect() as cr:
        cr.execute(DATABASES)
        databases = [recognise.database(row) for row in cr.fetchall()]
        cr.execute(ROLES)
        roles = [recognise.role(row) for row in cr.fetchall()]
    yield from filter(None, [*databases, *roles])


def of_bucket(store: Store) -> Iterator[Sighting]:
    """Yield the tenants that have objects in the bucket."""
    yield from filter(None, map(recognise.prefix, store.tenants()))


def of_exports(store: Store) -> Iterator[Sighting]:
    """Yield the tenants that have files for their customers in the bucket."""
    for name, found in exports.by_tenant(store).items():
        if one := recognise.exports(name, len(found), sum(each.size for each in found)):
            yield one
