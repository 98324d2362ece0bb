"""What becomes of old months, and of operations that died."""

from datetime import timedelta

from dateutil.relativedelta import relativedelta
from odoo import fields
from odoo.tools import SQL

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
