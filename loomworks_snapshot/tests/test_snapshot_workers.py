import threading
import time
from contextlib import closing, contextmanager
from datetime import timedelta
from unittest.mock import patch

from odoo import SUPERUSER_ID, api, fields
from odoo.addons.loomworks_tenant.models import reconcilable
from odoo.modules.registry import Registry
from odoo.tests import BaseCase, get_db_name, tagged
from odoo.tools import mute_logger

from ..repository import restore_point
from .common import World

CONTENDERS = 4
ASKED = 60


@tagged("post_install", "-at_install")
class TestSnapshotWorkers(BaseCase):
    """Real transactions of several workers on one server's snapshots; what is made here is removed at the end."""

    def setUp(self):
        super().setUp()
        self.world = World()
        with environment() as env:
            cluster = env["loomworks.cluster"].create(
                {
                    "name": "snapshot workers",
                    "kubeconfig": "file:/nowhere",
                    "domain": "workers.test",
                    "public_url": "http://workers.test",
                    "image": "x",
                }
            )
            server = env["loomworks.database.server"].create(
                {"name": "snapshot workers", "cluster_id": cluster.id, "host": "x", "password_reference": "env:X"}
            )
            tenant = env["loomworks.tenant"].create(
                {
                    "name": "Snapshot workers",
                    "subdomain": "snapshot-workers",
                    "plan_id": env.ref("loomworks_tenant.plan_basic").id,
                    "cluster_id": cluster.id,
                }
            )
            tenant.write({"server_id": server.id, "state": "active"})
            self.tenant_id, self.cluster_id, self.server_id = tenant.id, cluster.id, server.id
        self.addCleanup(self.remove)

    def remove(self):
        with environment() as env:
            tenant = env["loomworks.tenant"].browse(self.tenant_id)
            tenant.erased_at = fields.Datetime.now()
            tenant.unlink()
            env["loomworks.database.server"].browse(self.server_id).unlink()
            env["loomworks.cluster"].browse(self.cluster_id).unlink()

    def ask(self, count):
        with environment() as env:
            tenant = env["loomworks.tenant"].browse(self.tenant_id)
            return env["loomworks.snapshot"]._request(tenant.browse().concat(*[tenant] * count), "manual").ids

    def work(self, ids, take):
        """Have several workers go at the same rows, as if each had found them due."""

        def contend():
            for row in ids * 2:
                reconcilable._work(get_db_name(), ("loomworks.snapshot", row))

        with self.boundaries(take):
            threads = [threading.Thread(target=contend) for _number in range(CONTENDERS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)

    @contextmanager
    def boundaries(self, take):
        with environment() as env:
            servers = type(env["loomworks.database.server"])
        with (
            patch.object(restore_point, "take", take),
            patch.object(restore_point, "sizes", lambda server, names: {}),
            patch.object(servers, "_repository_store", lambda server: self.world.store),
        ):
            yield

    def states(self, ids):
        with environment() as env:
            return set(env["loomworks.snapshot"].browse(ids).mapped("state"))

    def test_two_workers_never_take_one_snapshot_twice(self):
        ids, running, overlaps = self.ask(ASKED), [], []

        def slow(server, names):
            overlaps.extend(running)
            running.append(len(names))
            time.sleep(0.1)
            running.pop()
            return self.world.take(server, names)

        self.work(ids, slow)
        self.assertEqual(self.states(ids), {"ready"})
        self.assertEqual(overlaps, [])
        self.assertEqual(sum(len(batch) for batch in self.world.batches), ASKED)

    def test_worker_killed_after_taking_leaves_rows_that_are_taken_again(self):
        ids, dead = self.ask(3), []

        def dying(server, names):
            points = self.world.take(server, names)
            if not dead:
                dead.append(names)
                raise KeyboardInterrupt  # nothing of this transaction is ever written
            return points

        with self.boundaries(dying):
            with self.assertRaises(KeyboardInterrupt):
                reconcilable._work(get_db_name(), ("loomworks.snapshot", ids[0]))
            self.assertEqual(self.states(ids), {"creating"})
            reconcilable._work(get_db_name(), ("loomworks.snapshot", ids[0]))
        self.assertEqual(self.states(ids), {"ready"})
        self.assertFalse({*dead[0]} & {*self.world.batches[1]}, "a name is never used twice")

    def expire(self):
        with environment() as env:
            env["loomworks.snapshot"]._cron_expire()

    def test_snapshot_that_is_proven_just_now_expires_at_a_later_run(self):
        """What is written since the transaction began cannot be locked: the database refuses it."""
        ids = self.ask(2)
        self.work(ids, self.world.take)
        with environment() as env:
            now, old = fields.Datetime.now(), env["loomworks.snapshot"].browse(ids[0])
            old.write({"created_at": now - timedelta(days=1), "expires_at": now - timedelta(minutes=1)})
            rows = type(old)
        lock, raced = rows.try_lock_for_update, []

        def racing(snapshots, **options):
            raced.append(snapshots.ids)
            with environment() as other:
                other["loomworks.snapshot"].browse(ids[0]).verify_message = "proven just now"
            return lock(snapshots, **options)

        with patch.object(rows, "try_lock_for_update", racing), mute_logger("odoo.sql_db"):
            self.expire()
        self.assertTrue(any(ids[0] in found for found in raced))
        self.assertEqual(self.states(ids), {"ready"})
        self.expire()
        self.assertEqual((self.states(ids[:1]), self.states(ids[1:])), ({"expired"}, {"ready"}))


@contextmanager
def environment():
    """Offer a superuser's environment in a transaction of its own, committed at the end."""
    with closing(Registry(get_db_name()).cursor()) as cr:
        yield api.Environment(cr, SUPERUSER_ID, {})
        cr.commit()  # pylint: disable=invalid-commit
