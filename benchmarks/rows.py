"""An Odoo in this process with the rows of many tenants, whose crons look at a fleet's places."""

import contextlib
import os
from contextlib import ExitStack
from unittest.mock import patch

from fleet import BUCKET, role
from harness.databases import OdooDatabases
from harness.s3_server import REGION
from stack.settings import Settings

# As much as is kept of four weeks: every reading of two days, one an hour of the rest.
HISTORY = """
    INSERT INTO loomworks_volume_usage (volume_id, tenant_id, read_at, used_bytes, size_bytes, used_gib, size_gib)
    SELECT v.id, v.tenant_id, at, used, %(size)s, used / 2^30, %(size)s / 2^30 FROM loomworks_volume v
      CROSS JOIN (SELECT generate_series(now() AT TIME ZONE 'UTC' - interval '28 days',
                                         now() AT TIME ZONE 'UTC' - interval '2 days', '1 hour') AS at
                  UNION ALL
                  SELECT generate_series(now() AT TIME ZONE 'UTC' - interval '2 days',
                                         now() AT TIME ZONE 'UTC' - interval '5 minutes', '5 minutes')) AS moment
      CROSS JOIN LATERAL (SELECT 1e9 + v.id * extract(epoch FROM at - '2026-01-01')) AS one (used)
"""
KEYS = {"FLEET_KEY": "key", "FLEET_SECRET": "key_secret"}


class Rows:
    """The control plane of a fleet."""

    def __init__(self, fleet):
        self._fleet = fleet
        self._stack = ExitStack()

    def __enter__(self):
        from odoo.tools import config

        databases = OdooDatabases(Settings.from_environment())
        made = self._stack.enter_context(databases.cloned("loomworks_storage"))
        config.parse_config(["-c", str(made.configuration), "--max-cron-threads=0"], setup_logging=False)
        self._stack.callback(_close, made.name)
        os.environ |= {name: getattr(self._fleet.s3, attribute) for name, attribute in KEYS.items()}
        from odoo import SUPERUSER_ID, api
        from odoo.modules.registry import Registry

        cr = self._stack.enter_context(Registry(made.name).cursor())
        self.env = api.Environment(cr, SUPERUSER_ID, {"tracking_disable": True, "mail_create_nolog": True})
        clusters = type(self.env["loomworks.cluster"])
        self._stack.enter_context(patch.object(clusters, "_client", lambda cluster: self._fleet.kube))
        return self

    def __exit__(self, *error):
        self._stack.__exit__(*error)

    @property
    def queries(self):
        """How many queries there were so far."""
        self.env.flush_all()
        return self.env.cr.sql_log_count

    def make(self, uuids):
        """Have rows of tenants that stand, with a backup of their files each."""
        cluster, server = self._places()
        common = {"cluster_id": cluster.id, "server_id": server.id, "state": "active", "converged_at": "2026-01-01"}
        plan = self.env.ref("loomworks_tenant.plan_basic")
        values = [{"name": one, "subdomain": f"t-{one}", "uuid": one, "plan_id": plan.id, **common} for one in uuids]
        tenants = self.env["loomworks.tenant"].create(values)
        assert set(tenants.mapped("database_name")) == set(map(role, uuids))
        backup = {"state": "done", "manifest": "m", "began_at": "2026-01-01"}
        self.env["loomworks.files.backup"].create([{"tenant_id": one.id, **backup} for one in tenants])
        self.env.cr.commit()

    def _places(self):
        self.env["loomworks.cluster"].search([]).active = False
        self.env["loomworks.database.server"].search([]).active = False
        s3 = self._fleet.s3
        files = {"endpoint": s3.endpoint, "bucket": BUCKET, "region": REGION, "ca_file": str(s3.ca_file)}
        files |= {"key_reference": "env:FLEET_KEY", "key_secret_reference": "env:FLEET_SECRET"}
        values = {"name": "fleet", "kubeconfig": "file:/nowhere", "domain": "fleet.test", "image": "odoo:1"}
        values |= {"public_url": "https://fleet.test", **{f"files_{name}": value for name, value in files.items()}}
        cluster = self.env["loomworks.cluster"].create(values)
        server = self._fleet.server.spec
        values = {"name": "fleet", "host": server.host, "port": server.port, "provisioning_role": server.user}
        values |= {"sslmode": server.sslmode, "password_reference": server.password_reference, "capacity": 10_000}
        return cluster, self.env["loomworks.database.server"].create({"cluster_id": cluster.id, **values})

    def sweep(self):
        """Look for orphans."""
        self._fresh("loomworks.orphan")._cron_sweep()
        self.env.cr.commit()

    def orphans(self):
        """Return whose things were found."""
        found = self.env["loomworks.orphan"].search([("state", "=", "open")])
        return {one.tenant_uuid for one in found}

    def look(self):
        """Look at the volumes."""
        self._fresh("loomworks.cluster")._cron_survey_volumes()
        self.env.cr.commit()

    def remember(self, size):
        """Have four weeks of readings, and forecasts that are due."""
        self.env.cr.execute("DELETE FROM loomworks_volume_usage")
        self.env.cr.execute(HISTORY, {"size": size})
        self.env.cr.execute("UPDATE loomworks_volume SET forecast_at = NULL, read_at = read_at - interval '1 hour'")
        self.env.cr.commit()
        self.env.cr.execute("ANALYZE loomworks_volume_usage")
        self.env.cr.commit()

    def _fresh(self, model):
        """Return a model as a cron has it: nothing is in the cache."""
        self.env.invalidate_all()
        return self.env[model]


def _close(name):
    from odoo import sql_db
    from odoo.modules.registry import Registry

    with contextlib.suppress(KeyError):
        Registry.delete(name)
    sql_db.close_db(name)
