from odoo.addons.loomworks_tenant.tests.common import TenantCase
from odoo.exceptions import AccessError
from odoo.tests import tagged

from ..models.base_backup import moment
from .looks import LABEL, NOW, SYSTEM, info_of, look, work


@tagged("post_install", "-at_install")
class TestBaseBackup(TenantCase):
    def record(self, *items, **changes):
        self.env["loomworks.base.backup"]._record(self.server, look(*items, **changes))
        return self.server.base_backup_ids

    def test_backup_that_was_made_by_hand_appears_with_all_its_facts(self):
        row = self.record(info_of())
        self.assertEqual((row.state, row.label, row.backup_type, row.work_number), ("done", LABEL, "full", 0))
        self.assertEqual((row.lsn_start, row.lsn_stop), ("0/B000028", "0/C000050"))
        self.assertEqual(
            (row.wal_start, row.timeline, row.system_identifier), ("0" * 7 + "1" + "0" * 15 + "B", 1, SYSTEM)
        )
        self.assertEqual((row.size_bytes, row.repository_bytes, row.duration), (39332177, 2981768, 40))
        self.assertEqual(row.finished_at, moment(NOW - 3600 + 40))

    def test_size_in_the_repository_counts_what_it_builds_on(self):
        later = info_of(f"{LABEL}_20270115-090000I", NOW - 60, "incr", LABEL)
        rows = self.record(info_of(), later)
        self.assertEqual(rows.filtered(lambda row: row.prior_label == LABEL).repository_bytes, 2 * 2981768)

    def test_work_is_one_row_from_the_question_to_the_end(self):
        row = self.record(work=(work(started=None, finished=None, exit_code=None),))
        self.assertEqual((row.state, row.label, row.started_at), ("running", False, moment(NOW - 3610)))
        self.assertEqual(self.record(work=(work(finished=None, exit_code=None),)), row)
        self.assertEqual(self.record(info_of(), work=(work(label=LABEL),)), row)
        self.assertEqual((row.state, row.label, row.asked_at), ("done", LABEL, moment(NOW - 3610)))

    def test_backup_seen_before_its_work_was_is_still_one_row(self):
        row = self.record(info_of(), work=(work(finished=None, exit_code=None),))
        self.assertEqual(len(row), 2)
        rows = self.record(info_of(), work=(work(label=LABEL),))
        self.assertEqual(rows.filtered("label").mapped("label"), [LABEL])
        self.assertEqual(rows.filtered(lambda one: one.state == "running"), rows.browse())

    def test_failed_work_says_why(self):
        row = self.record(work=(work(code=82, message="ERROR: [082]: no"),))
        self.assertEqual((row.state, row.error_message, row.label), ("failed", "ERROR: [082]: no", False))

    def test_backup_that_is_gone_is_expired_and_keeps_its_facts(self):
        row = self.record(info_of())
        self.record()
        self.assertEqual((row.state, row.lsn_stop), ("expired", "0/C000050"))

    def test_backup_that_ended_after_the_list_was_taken_is_not_missed_in_it(self):
        ended = {"work": (work(label=LABEL),)}
        self.assertEqual(self.record(**ended, info_taken=NOW - 3600).state, "done")
        self.assertEqual(self.record(**ended, info_taken=NOW - 60).state, "expired")

    def test_nothing_expires_while_the_repository_has_not_been_read(self):
        row = self.record(info_of())
        self.record(info_taken=None)
        self.assertEqual(row.state, "done")

    def test_work_of_a_backup_that_has_expired_since_does_not_bring_it_back(self):
        row = self.record(info_of(), work=(work(label=LABEL),))
        self.record(work=(work(label=LABEL),))
        self.assertEqual(self.record(work=(work(label=LABEL),)), row)
        self.assertEqual(row.state, "expired")

    def test_numbers_that_a_new_server_gives_again_are_other_work(self):
        self.record(work=(work(),))
        self.assertEqual(len(self.record(work=(work(asked=NOW - 5),))), 2)

    def test_look_that_finds_nothing_new_writes_nothing(self):
        items = {"work": (work(label=LABEL),)}
        self.record(info_of(), **items)
        self.env.flush_all()
        with self.assertQueryCount(2):  # reading the rows
            self.env["loomworks.base.backup"]._record(self.server, look(info_of(), **items))
            self.env.flush_all()

    def test_operators_and_auditors_read_and_nobody_else(self):
        row = self.record(info_of())
        for user in (self.operator, self.auditor):
            self.assertEqual(row.with_user(user).label, LABEL)
            with self.assertRaises(AccessError):
                row.with_user(user).write({"label": "x"})
            row.with_user(user).get_view(view_type="form")
        with self.assertRaises(AccessError):
            row.with_user(self.customer).read(["label"])

    def test_rows_of_long_gone_backups_are_forgotten(self):
        row = self.record(info_of())
        self.record()
        row.started_at = "2020-01-01"
        self.env["loomworks.base.backup"]._forget()
        self.assertFalse(row.exists())
