"""A restore whose control plane dies at each call to the outside, one after the other: the next run goes on.

The rows and the database server are real ones; what a dead process had written to its rows and not committed is rolled
back, what it had done outside stays.
"""

import os
from datetime import UTC, datetime, timedelta
from unittest.mock import patch

import psycopg2
from harness import in_memory_repository as in_memory
from harness.fuse import EachOnce
from odoo import fields
from odoo.addons.loomworks_tenant.kube import names
from odoo.addons.loomworks_tenant.postgres.empty import make_empty
from odoo.addons.loomworks_tenant.postgres.server import DatabaseServer
from odoo.addons.loomworks_tenant.reconciler.spec import ServerSpec
from odoo.addons.loomworks_tenant.reconciler.step import Boundaries
from odoo.sql_db import connection_info_for
from odoo.tests import tagged

from ..models import restore_work
from ..repository import restore_point
from ..restoring.spec import NAMESPACE
from .common import SnapshotCase
from .memory_cluster import HALF, REST, ROWS, MemoryCluster
from .test_repository import PLACE, SECRETS

PASSWORD = "of the tenant"
STEPS = 40


class Killed(BaseException):
    """The process is gone."""


def die():
    raise Killed


@tagged("post_install", "-at_install")
class TestRestoreKilled(SnapshotCase):
    died = set()  # where it has died already; once is enough for all that is tested here

    def setUp(self):
        super().setUp()
        self.real = self.access_server()
        self.kube = MemoryCluster(self.real.spec)
        self.fuse = EachOnce(die)
        self.fuse.died = self.died
        fused = self.fuse.guard_server(DatabaseServer(self.real.spec))
        self.fuse.guard(self.kube, MemoryCluster.CALLS)
        world = Boundaries(self.kube, fused, None)
        for target, name, value in (
            (type(self.env["loomworks.restore"]), "_world", lambda row: world),
            (restore_work, "Server", lambda spec: fused),
        ):
            patcher = patch.object(target, name, value)
            patcher.start()
            self.addCleanup(patcher.stop)
        self.fuse.guard(self.world.store, ("list",))
        self.role = self.first = self.tenant.database_name
        self.forget()  # what an earlier run has left: the numbers of restores begin anew with each database
        self.addCleanup(self.forget)
        self.make_tenants_database()
        self.snapshot = self.take_ready()

    def access_server(self):
        """Reach the tests' own server, by a role that is what the provisioning role is."""
        _name, info = connection_info_for(self.env.cr.dbname)
        environment = patch.dict(os.environ, {**SECRETS, "TEST_PASSWORD": info["password"]})
        environment.start()
        self.addCleanup(environment.stop)
        place = {"host": info["host"], "port": int(info["port"]), "sslmode": "disable"}
        self.server.write({**PLACE, **place, "password_reference": "env:TEST_PASSWORD"})
        values = {"user": info["user"], "password_reference": "env:TEST_PASSWORD", "sslmode": "disable"}
        return DatabaseServer(ServerSpec(info["host"], int(info["port"]), **values))

    def make_tenants_database(self):
        self.real.ensure_role(self.role, PASSWORD, 8)
        make_empty(self.real, self.first, self.role)
        with psycopg2.connect(**self.as_owner(self.first)) as connection, connection.cursor() as cr:
            cr.execute(HALF + REST)
        connection.close()
        meta = {"namespace": names.namespace(self.tenant.uuid), "name": names.DATABASE_SECRET}
        self.kube.apply({"kind": "Secret", "metadata": meta, "stringData": {"password": PASSWORD}})
        self.kube.follow(self.tenant)

    def as_owner(self, database):
        spec = self.real.spec
        return {"host": spec.host, "port": spec.port, "user": self.role, "password": PASSWORD, "dbname": database}

    def forget(self):
        for name in self.real.databases_of(self.role):
            self.real.drop_database(name)
        for role in [*self.fillers(), self.role]:
            self.real.drop_role(role)

    def fillers(self):
        with self.real.connect() as cr:
            cr.execute(r"SELECT rolname FROM pg_roles WHERE rolname LIKE 'loomworks\_restore\_%'")
            return [row["rolname"] for row in cr.fetchall()]

    # --- dying ------------------------------------------------------------------------------------------

    def run_until(self, restore, *states):
        """Run the worker's steps until the row rests in one of ``states``; it dies at each call of each of them."""
        for _step in range(STEPS):
            restore.reconcile_at = restore.reconcile_at and fields.Datetime.now()
            if restore.state in states and not restore.reconcile_at:
                return
            self.take_step(restore)
            self.kube.follow(self.tenant.sudo())
            self.assert_whole_is_served()
        self.fail(f"{restore.state}: {restore.error_message}")

    def take_step(self, restore):
        while True:
            self.fuse.start(restore.state)
            try:
                with self.env.cr.savepoint():
                    pause = restore._reconcile_step()
                    self.env.flush_all()
                    self.fuse.tick("commit of the rows")
                    return pause
            except Killed:
                self.kube.follow(self.tenant.sudo())
                self.assert_whole_is_served()
            finally:
                self.fuse.start("")

    def assert_whole_is_served(self):
        """Users are served, from a database that lets them in and holds all that it has to."""
        for database in {self.kube.served(self.tenant), self.tenant.sudo().database_name}:
            rows = self.read(database, "SELECT count(*) FROM work")
            self.assertEqual(rows, [(ROWS,)], f"{database} is half a database")

    def read(self, database, query):
        connection = psycopg2.connect(**self.as_owner(database))
        try:
            with connection, connection.cursor() as cr:
                cr.execute(query)
                return cr.fetchall()
        finally:
            connection.close()

    def assert_only(self, restore, *databases):
        """Nothing is left of the work, and of the databases these; the tenant's own takes connections, no other."""
        self.assertEqual(self.kube.left_of(restore.id), [])
        self.assertEqual(sorted(self.real.databases_of(self.role)), sorted(databases))
        opened = [name for name in databases if self.real.database(name)["datallowconn"]]
        self.assertEqual(opened, [self.tenant.database_name])
        self.assertEqual(self.fillers(), [])
        waits = self.read(self.tenant.database_name, "SELECT key FROM ir_config_parameter")
        self.assertEqual(waits, [], "its scheduled actions still wait")

    # --- what is killed ---------------------------------------------------------------------------------

    def ask(self):
        return self.env["loomworks.restore"].browse(self.snapshot.with_user(self.customer).action_restore()).sudo()

    def claim_volume(self):
        """Have the tenant's volume be there; return where it is mounted."""
        volume = self.tenant.sudo()._to_spec().volume
        meta = {"namespace": names.namespace(self.tenant.uuid), "name": volume.claim}
        self.kube.apply({"kind": "PersistentVolumeClaim", "metadata": meta})
        return volume.mount_path

    def test_put_in_place_taken_back_and_forgotten(self):
        restore = self.ask()
        self.run_until(restore, "done")
        new = restore.new_database
        self.assertEqual((self.tenant.database_name, self.kube.served(self.tenant)), (new, new))
        self.assertEqual((restore.error_message, self.snapshot.state), (False, "ready"))
        self.assert_only(restore, self.first, new)
        self.snapshot.with_user(self.customer).action_go_back()
        self.run_until(restore, "gone_back")
        self.assertEqual((self.tenant.database_name, self.kube.served(self.tenant)), (self.first, self.first))
        self.assert_only(restore, self.first, new)
        restore.kept_until = fields.Datetime.now() - timedelta(seconds=1)
        restore._cron_forget()
        path = self.claim_volume()
        self.run_until(restore, "gone_back")
        self.assert_only(restore, self.first)
        self.assertEqual(self.kube.removed, {f"{path}/filestore/{new}"})
        self.assertFalse([name for kind, _place, name in self.kube.objects if kind == "Job"])
        self.assertGreater(len(self.died), 80)

    def test_failed_and_tried_again(self):
        restore = self.ask()
        self.kube.error = {"code": "wal_damaged", "message": "the segment X", "hint": "", "retryable": False}
        self.run_until(restore, "failed")
        self.assertEqual((restore.error_code, self.snapshot.state), ("wal_damaged", "failed"))
        self.assert_only(restore, self.first)
        self.kube.error = None
        restore.with_user(self.customer).action_retry()
        self.run_until(restore, "done")
        self.run_reconciler()
        self.assertEqual(self.snapshot.state, "ready")
        self.assert_only(restore, self.first, restore.new_database)

    def test_restored_to_just_before_an_operation_by_its_own_button(self):
        values = {"tenant_id": self.tenant.id, "tenant_operation": 7, "tool_name": "write", "state": "done"}
        values |= {"lsn": "0/2000200", "timeline": 1, "started_at": fields.Datetime.now()}
        operation = self.env["loomworks.ai.operation.log"].sudo().create(values)
        self.world.switch()
        number = operation.with_user(self.customer).action_restore_before()
        restore = self.env["loomworks.restore"].sudo().browse(number)
        self.run_reconciler()
        self.assertEqual((restore.snapshot_id.state, restore.snapshot_id), ("ready", operation.snapshot_id))
        point = restore_point.RestorePoint("closing", in_memory.lsn(9), 1, in_memory.SYSTEM, datetime.now(UTC))
        self.world.segment = 10
        self.world.archive_all()
        with patch.object(restore_point, "close", lambda server: point):
            self.run_until(restore, "done")
        asked = restore._to_request()
        self.assertEqual((asked.target.kind, asked.target.value), ("lsn", "0/2000200"))
        self.assert_only(restore, self.first, restore.new_database)
        restore.snapshot_id.with_user(self.customer).action_go_back()
        self.run_until(restore, "gone_back")
        self.assertEqual(self.kube.served(self.tenant), self.first)

    def test_database_that_somebody_dropped_during_the_change_is_not_waited_for(self):
        restore = self.ask()
        while not restore.switch_began_at:
            self.take_step(restore)
        self.kube.follow(self.tenant.sudo())
        self.real.drop_database(self.first)
        self.run_until(restore, "done")
        self.assertEqual((restore.cancelled_mails, self.kube.served(self.tenant)), (0, restore.new_database))
        restore.with_user(self.customer).action_go_back()
        self.run_until(restore, "done")
        self.assertEqual((restore.error_code, self.tenant.database_name), ("database_gone", restore.new_database))

    def test_cancelled_while_half_of_it_is_there(self):
        restore = self.ask()
        self.kube.slow = True
        while not self.kube.get("Pod", f"restore-{restore.id}", NAMESPACE):
            self.take_step(restore)
        self.assertEqual(len(self.real.databases_of(self.role)), 2)
        restore.with_user(self.customer).action_cancel()
        self.run_until(restore, "cancelled")
        self.assert_only(restore, self.first)

    def test_tenant_that_does_not_serve_from_it_stays_where_it_was(self):
        restore = self.ask()
        with patch.object(MemoryCluster, "follow"):  # its Odoo never gets ready
            while not restore.switch_began_at:
                self.take_step(restore)
            restore.switch_began_at -= timedelta(seconds=restore_work.SWITCH_PATIENCE + 1)
            path = self.claim_volume()
            self.run_until(restore, "failed")
        self.assertEqual(restore.error_code, "switch_failed")
        self.assertEqual((self.tenant.database_name, self.kube.served(self.tenant)), (self.first, self.first))
        self.assert_only(restore, self.first)
        self.assertEqual(self.kube.removed, {f"{path}/filestore/{restore.new_database}"})
        workload = self.tenant.step_ids.filtered(lambda one: one.code == "workload")
        self.assertEqual(workload.state, "pending")  # what stopped its Odoo for the files is looked at again
        self.assertTrue(self.tenant.reconcile_at)
        self.assertFalse([name for kind, _place, name in self.kube.objects if kind == "Job"])
