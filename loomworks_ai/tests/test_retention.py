"""What becomes of old months, of operations that died, and of the journal in the end."""

from datetime import timedelta
from pathlib import Path

from dateutil.relativedelta import relativedelta
from odoo import fields
from odoo.sql_db import db_connect
from odoo.tools import SQL

from .. import uninstall_hook
from ..models.operation_log import RETENTION_PARAMETER
from .common import AgentCase


class TestRetention(AgentCase):
    def months(self):
        self.env.cr.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'loomworks'::regnamespace AND relname LIKE 'entry\\_2%'"
            " AND relkind = 'r' ORDER BY 1"
        )
        return [name for (name,) in self.env.cr.fetchall()]

    def test_months_come_and_go(self):
        self.env.cr.execute(
            "CREATE TABLE loomworks.entry_2001_01 PARTITION OF loomworks.entry"
            " FOR VALUES FROM ('2001-01-01') TO ('2001-02-01')"
        )
        coming = self.months()[-1]
        self.env.cr.execute(f"DROP TABLE loomworks.{coming}")
        self.env["loomworks.ai.operation.log"]._keep_months()
        self.assertNotIn("entry_2001_01", self.months())
        self.assertIn(coming, self.months())

    def test_as_many_months_are_kept_as_it_says_and_the_one_that_is_not_over(self):
        first = fields.Date.today().replace(day=1)
        starts = [first - relativedelta(months=back) for back in range(5)]
        for start in starts[1:]:
            self.env.cr.execute(
                SQL(
                    "CREATE TABLE IF NOT EXISTS loomworks.%s PARTITION OF loomworks.entry FOR VALUES FROM (%s) TO (%s)",
                    SQL.identifier(f"entry_{start:%Y_%m}"),
                    start,
                    start + relativedelta(months=1),
                )
            )
        self.env["ir.config_parameter"].sudo().set_param(RETENTION_PARAMETER, "3")
        self.env["loomworks.ai.operation.log"]._keep_months()
        there = [f"entry_{start:%Y_%m}" in self.months() for start in starts]
        self.assertEqual(there, [True, True, True, True, False])

    def attach_month(self, table, name="2001_01"):
        """Make an old month of one of the journal's tables as the journal does, without standing in anybody's way."""
        child, parent = SQL.identifier("loomworks", f"{table}_{name}"), SQL.identifier("loomworks", table)
        self.env.cr.execute(SQL("CREATE TABLE %s (LIKE %s INCLUDING DEFAULTS INCLUDING INDEXES)", child, parent))
        bounds = "FOR VALUES FROM ('2001-01-01 00:00+00') TO ('2001-02-01 00:00+00')"
        self.env.cr.execute(SQL("ALTER TABLE %s ATTACH PARTITION %s " + bounds, parent, child))

    def test_a_month_that_somebody_reads_is_dropped_by_a_later_run(self):
        self.attach_month("entry")
        with db_connect(self.env.cr.dbname).cursor() as reader:
            reader.execute("SELECT count(*) FROM loomworks.entry")
            self.env["loomworks.ai.operation.log"]._keep_months()
            self.assertIn("entry_2001_01", self.months())
        self.env["loomworks.ai.operation.log"]._keep_months()
        self.assertNotIn("entry_2001_01", self.months())

    def test_files_are_collected_once_the_journal_has_forgotten_them(self):
        attachments = self.env["ir.attachment"]
        needed, alone = (attachments.create({"name": "a", "raw": raw}) for raw in (b"needed " * 999, b"alone " * 999))
        copy = attachments.create({"name": "b", "raw": needed.raw})
        self.env.flush_all()
        paths = [Path(one._full_path(one.store_fname)) for one in (needed, alone)]
        with self.request():
            (needed | alone).with_user(self.agent).sudo().unlink()
        attachments._gc_file_store_unsafe()
        self.assertEqual([path.exists() for path in paths], [True, True])
        self.attach_month("entry")
        self.env.cr.execute("UPDATE loomworks.entry SET at = '2001-01-15' WHERE operation = %s", [self.operation.id])
        attachments._gc_file_store_unsafe()
        self.assertEqual([path.exists() for path in paths], [True, True])
        self.env["loomworks.ai.operation.log"]._keep_months()
        attachments._gc_file_store_unsafe()
        self.assertEqual([path.exists() for path in paths], [True, False])
        self.assertEqual(copy.raw, b"needed " * 999)

    def test_without_its_journal_an_operation_cannot_be_undone(self):
        operation = self.change_phone()
        self.env.cr.execute("DELETE FROM loomworks.entry WHERE operation = %s", operation.ids)
        told = operation.action_undo()
        self.assertFalse(told["done"])
        self.assertIn("too old", told["refused"])

    def test_an_operation_whose_process_died_is_ended(self):
        operation = self.change_phone().sudo()
        operation.write({"state": "pending", "row_changes": 0})
        operation._end_interrupted()
        self.assertEqual(operation.state, "pending")
        self.assertIn("under way", operation.action_undo()["refused"])
        operation.started_at = fields.Datetime.now() - timedelta(hours=2)
        operation._end_interrupted()
        self.assertEqual((operation.state, operation.row_changes > 0), ("failed", True))
        self.assertTrue(operation.action_undo()["done"])


class TestUninstall(AgentCase):
    def test_nothing_of_the_journal_is_left(self):
        left = """
            SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'loomworks%%'
            UNION ALL SELECT count(*) FROM pg_extension WHERE extname = 'hstore'
            UNION ALL SELECT count(*) FROM pg_trigger WHERE tgname LIKE '%%loomworks%%'
        """
        self.change_phone()
        self.env.cr.execute(left)
        self.assertTrue(all(count for (count,) in self.env.cr.fetchall()))
        uninstall_hook(self.env(user=self.env.ref("base.user_admin")))
        self.env.cr.execute(left)
        self.assertEqual([count for (count,) in self.env.cr.fetchall()], [0, 0, 0])
        self.partner.phone = "3"
        self.env.flush_all()
        self.partner.unlink()
        self.env.flush_all()
        uninstall_hook(self.env)
