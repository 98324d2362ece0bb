"""Two people who add a user at the same moment."""

import threading
from contextlib import closing

from odoo import SUPERUSER_ID, api, sql_db
from odoo.exceptions import ValidationError
from odoo.service.model import retrying
from odoo.tests import BaseCase, tagged
from odoo.tests.common import get_db_name

from ..models.res_users import LIMIT_PARAMETER

LOGINS = ("first@example.test", "second@example.test")


@tagged("-standard", "concurrency")
class TestConcurrentUsers(BaseCase):
    """In real transactions, committed, and removed afterwards."""

    def setUp(self):
        super().setUp()
        self.addCleanup(self.remove)
        self.barrier = threading.Barrier(2, timeout=30)
        self.refused = []
        with self.environment() as env:
            count = env["res.users"]._internal_user_count()
            env["ir.config_parameter"].set_param(LIMIT_PARAMETER, str(count.users + 1))

    def remove(self):
        with self.environment() as env:
            env["res.users"].search([("login", "in", LOGINS)]).unlink()
            env["ir.config_parameter"].set_param(LIMIT_PARAMETER, False)

    def environment(self):
        return CommittedEnvironment()

    def test_one_of_two_at_the_same_moment_is_refused(self):
        threads = [threading.Thread(target=self.add, args=(login,)) for login in LOGINS]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        with self.environment() as env:
            self.assertEqual(env["res.users"].search_count([("login", "in", LOGINS)]), 1)
        self.assertEqual(len(self.refused), 1)

    def add(self, login):
        tries = []

        def create():
            tries.append(login)
            env.cr.execute("SELECT count(*) FROM res_users")  # the snapshot stands from here on
            if len(tries) == 1:
                self.barrier.wait()
            env["res.users"].create({"name": login, "login": login})

        with closing(sql_db.db_connect(get_db_name()).cursor()) as cr:
            env = api.Environment(cr, SUPERUSER_ID, {})
            try:
                retrying(create, env)
            except ValidationError:
                self.refused.append(login)


class CommittedEnvironment:
    """A superuser's environment in a transaction of its own, committed at the end."""

    def __enter__(self):
        self.cr = sql_db.db_connect(get_db_name()).cursor()
        return api.Environment(self.cr, SUPERUSER_ID, {})

    def __exit__(self, failure, *details):
        if not failure:
            self.cr.commit()  # pylint: disable=invalid-commit
        self.cr.close()
