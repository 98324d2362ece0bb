import threading
import time
from contextlib import closing
from unittest.mock import patch

from odoo import SUPERUSER_ID, api, fields
from odoo.modules.registry import Registry
from odoo.tests import BaseCase, get_db_name, tagged

from ..models import reconcilable
from ..reconciler import engine
from ..reconciler.engine import Outcome, StepState

CONTENDERS = 4


@tagged("post_install", "-at_install")
class TestWorkers(BaseCase):
    """Real transactions of several workers on one committed tenant; what is made here is removed at the end."""

    def setUp(self):
        super().setUp()
        with self.environment() as env:
            cluster = env["loomworks.cluster"].create(
                {
                    "name": "workers",
                    "kubeconfig": "file:/nowhere",
                    "domain": "workers.test",
                    "public_url": "http://workers.test",
                    "image": "x",
                }
            )
            env["loomworks.database.server"].create(
                {"name": "workers", "cluster_id": cluster.id, "host": "x", "password_reference": "env:X"}
            )
            tenant = env["loomworks.tenant"].create(
                {
                    "name": "Workers",
                    "subdomain": "workers",
                    "plan_id": env.ref("loomworks_tenant.plan_basic").id,
                    "cluster_id": cluster.id,
                }
            )
            tenant.action_provision()
            self.tenant_id = tenant.id
        self.addCleanup(self.remove)

    def environment(self):
        return _Environment()

    def remove(self):
        with self.environment() as env:
            tenant = env["loomworks.tenant"].browse(self.tenant_id)
            cluster, server = tenant.cluster_id, tenant.server_id
            tenant.erased_at = fields.Datetime.now()
            tenant.unlink()
            env["loomworks.template"].search([("server_id", "=", server.id)]).unlink()
            server.unlink()
            cluster.unlink()

    def test_two_workers_never_hold_one_tenant(self):
        running, overlaps, runs, lock = [], [], [], threading.Lock()

        def slow(line, *_args):
            with lock:
                overlaps.extend(running)
                running.append(line.step.code)
                runs.append(line.step.code)
            time.sleep(0.05)
            with lock:
                running.remove(line.step.code)
            return Outcome(StepState.DONE, "done")

        def contend():
            for _attempt in range(60):
                reconcilable._work(get_db_name(), ("loomworks.tenant", self.tenant_id))
                time.sleep(0.01)

        with patch.object(engine, "run", slow):
            threads = [threading.Thread(target=contend) for _number in range(CONTENDERS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)
        with self.environment() as env:
            tenant = env["loomworks.tenant"].browse(self.tenant_id)
            codes = tenant.step_ids.mapped("code")
            self.assertEqual((tenant.state, tenant.working), ("active", False))
        self.assertEqual(overlaps, [])
        self.assertEqual(runs, codes)

    def test_person_is_not_kept_waiting_by_a_locked_tenant_of_another_worker(self):
        with self.environment() as env:
            self.assertTrue(env["loomworks.tenant"].browse(self.tenant_id).try_lock_for_update())
            began = time.monotonic()
            pause = reconcilable._work(get_db_name(), ("loomworks.tenant", self.tenant_id))
            self.assertEqual(pause, 0.0)
            self.assertLess(time.monotonic() - began, 2)

    def test_due_rows_are_found_by_another_process(self):
        self.assertIn(("loomworks.tenant", self.tenant_id), reconcilable._due(get_db_name()))

    def test_models_take_turns_however_many_rows_of_one_are_due(self):
        rows = {"loomworks.template": [7, 8], "loomworks.tenant": [1, 2, 3]}
        registry = Registry(get_db_name())

        def due_rows(model, _limit):
            return model.browse(rows[model._name])

        with (
            patch.object(registry["loomworks.template"], "_due_rows", due_rows),
            patch.object(registry["loomworks.tenant"], "_due_rows", due_rows),
        ):
            due = reconcilable._due(get_db_name())
        numbers = [number for model, number in due if model in rows]
        self.assertEqual(numbers, [7, 1, 8, 2, 3])


class _Environment:
    """A superuser's environment in a transaction of its own, committed at the end."""

    def __enter__(self):
        self._closing = closing(Registry(get_db_name()).cursor())
        self._cr = self._closing.__enter__()
        return api.Environment(self._cr, SUPERUSER_ID, {})

    def __exit__(self, kind, *rest):
        if kind is None:
            self._cr.commit()  # pylint: disable=invalid-commit
        return self._closing.__exit__(kind, *rest)
