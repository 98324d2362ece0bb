"""What looks at the cluster leave in the rows, who sees it, and what follows from it."""

import itertools
from datetime import UTC, timedelta
from unittest.mock import patch

from freezegun import freeze_time
from odoo import fields
from odoo.addons.loomworks_tenant.errors import ClusterUnreachable
from odoo.addons.loomworks_tenant.tests.common import TenantCase
from odoo.exceptions import AccessError, UserError, ValidationError

from ..models import volume_survey
from ..volumes.claim import ClaimState, Growth
from ..volumes.forecast import WINDOW
from ..volumes.survey import Survey, Usage

GI = 1024**3
MI = 1024**2
NOON = fields.Datetime.to_datetime("2026-11-25 12:00:00")


class VolumeCase(TenantCase):
    """A tenant whose claim and usage are what a test says."""

    def setUp(self):
        super().setUp()
        self.plan.max_storage_gb = 100
        self.enterContext(freeze_time(NOON))
        self.startPatcher(patch.object(type(self.env["ir.cron"]), "_commit_progress", lambda *args, **options: 1.0))
        self.env["loomworks.cluster"].search([("id", "!=", self.cluster.id)]).active = False
        self.tenant = self.make_active(admin_ids=[(6, 0, self.customer.ids)])
        self.claim = {"phase": "Bound", "reason": "", "requested": 5 * GI, "capacity": 5 * GI}
        self.claim |= {
            "growth": Growth.NONE,
            "growth_message": "",
            "storage_class": "standard",
            "access_mode": "ReadWriteOnce",
        }

    @property
    def volume(self):
        return self.tenant.volume_ids

    def look(self, percent=None, *, after=timedelta(0), usage=None, silent=None, **claim):
        """Have the cron look at a cluster of this one volume, so long after noon."""
        self.claim |= claim
        found = Survey({self.tenant.uuid: ClaimState(**self.claim)}, silent=silent or {})
        if percent is not None:
            usage = Usage(NOON + after, round(percent / 100 * 5 * GI), 5 * GI, 1000, 10)
        if usage:
            found.usages[self.tenant.uuid] = usage
        with freeze_time(NOON + after), patch.object(volume_survey, "survey", lambda kube: found):
            self.env["loomworks.cluster"]._cron_survey_volumes()
        self.tenant.invalidate_recordset()

    def alarms(self):
        alarm = self.env.ref("loomworks_storage.activity_volume")
        return self.tenant.activity_ids.filtered(lambda one: one.activity_type_id == alarm)

    def mails(self):
        return self.env["mail.mail"].search([("model", "=", self.tenant._name), ("res_id", "=", self.tenant.id)])


class TestVolumeStatus(VolumeCase):
    def test_what_nobody_has_read_is_unknown_and_not_nothing(self):
        values = self.tenant.read(["volume_phase", "volume_capacity", "volume_used", "volume_read_at"])[0]
        values.pop("id")
        unknown = {"volume_capacity": "unknown", "volume_used": "unknown", "volume_read_at": False}
        self.assertEqual(values, {"volume_phase": False, **unknown})
        self.look()  # a claim, and no kubelet that has measured it
        self.assertEqual((self.tenant.volume_phase, self.tenant.volume_capacity), ("Bound", "5Gi"))
        self.assertEqual((self.tenant.volume_used, self.tenant.volume_inodes), ("unknown", "unknown"))

    def test_reading_is_kept_with_its_own_time(self):
        self.look(40)
        tenant = self.tenant
        self.assertEqual((tenant.volume_used, tenant.volume_requested), ("2Gi", "5Gi"))
        self.assertEqual((tenant.volume_read_at, tenant.volume_inodes), (NOON, "10 / 1000"))
        self.assertEqual(tenant.volume_used_percent, 40)

    def test_look_leaves_the_tenants_rows_to_the_reconciler(self):
        with patch.object(type(self.tenant), "_lay_out_steps") as laid_out:
            self.look(40, silent={"node-1": "it is silent"})
            self.assertEqual(self.cluster.volumes_problem, "node-1: it is silent")
            laid_out.assert_not_called()
            self.cluster.storage_class = "other"
            laid_out.assert_called()

    def test_cluster_that_does_not_answer_leaves_the_reading_with_its_time(self):
        self.look(40)
        with freeze_time(NOON + timedelta(hours=1)), patch.object(volume_survey, "survey", side_effect=unreachable):
            self.env["loomworks.cluster"]._cron_survey_volumes()
        self.assertEqual((self.tenant.volume_used, self.tenant.volume_read_at), ("2Gi", NOON))
        self.assertIn("no answer", self.cluster.volumes_problem)
        self.assertEqual(self.cluster.volumes_read_at, NOON)

    def test_node_that_does_not_answer_is_named_until_it_does(self):
        self.look(silent={"node7": "away"})
        self.assertEqual(self.cluster.volumes_problem, "node7: away")
        self.look()
        self.assertFalse(self.cluster.volumes_problem)

    def test_look_changes_no_row_of_a_tenant(self):
        """The reconciler changes them in the same moment, and one of the two would have worked in vain."""
        self.plan.flush_recordset()
        self.env.cr.execute("UPDATE loomworks_plan SET cpu_limit = '3' WHERE id = %s", [self.plan.id])
        self.env.invalidate_all()
        self.look(40, silent={"node7": "away"})
        self.assertFalse(self.tenant.reconcile_at)

    def test_access_mode_is_the_claims_own_whatever_the_plan_says_since(self):
        def spec():
            return self.tenant.sudo()._to_spec().volume.access_mode

        self.look()
        self.plan.access_mode = "ReadWriteOncePod"
        self.assertEqual((spec(), self.tenant.volume_access_mode), ("ReadWriteOnce", "ReadWriteOnce"))
        self.look(access_mode="one of another Kubernetes")
        self.assertEqual((spec(), self.tenant.volume_access_mode), ("ReadWriteOncePod", False))

    def test_claim_without_a_volume_says_why(self):
        self.look(phase="Pending", reason="no volume yet: no class", capacity=None)
        tenant = self.tenant
        self.assertEqual((tenant.volume_phase, tenant.volume_phase_reason), ("Pending", "no volume yet: no class"))
        self.assertEqual(tenant.volume_capacity, "unknown")

    def test_claim_that_is_gone_is_said_to_be(self):
        self.look(40)
        with patch.object(volume_survey, "survey", lambda kube: Survey()):
            self.env["loomworks.cluster"]._cron_survey_volumes()
        self.assertFalse(self.tenant.volume_phase)
        self.assertIn("no claim", self.tenant.volume_phase_reason)

    def test_claim_that_nobody_grows_is_said_to_be_unanswered(self):
        asked = {"requested": 9 * GI, "growth": Growth.ASKED}
        self.look(**asked)
        self.assertEqual(self.tenant.volume_growth, "asked")
        self.look(after=timedelta(minutes=9), **asked)
        self.assertEqual(self.tenant.volume_growth, "asked")
        self.look(after=timedelta(minutes=11), **asked)
        self.assertEqual(self.tenant.volume_growth, "unanswered")
        self.look(after=timedelta(minutes=16), requested=9 * GI, capacity=9 * GI, growth=Growth.NONE)
        self.assertEqual((self.tenant.volume_growth, self.volume.growing_since), ("none", False))

    def test_erased_tenant_has_no_volume_any_more(self):
        self.look(40)
        self.tenant.sudo().write({"state": "archived", "erased_at": NOON})
        self.look(40)
        self.assertFalse(self.volume)

    def test_same_reading_is_kept_once(self):
        for _look in range(3):
            self.look(40)
        self.look(50, after=timedelta(minutes=5))
        self.assertEqual(self.volume.usage_ids.sorted("read_at").mapped("used_gib"), [2.0, 2.5])

    def test_readings_are_thinned_with_their_age(self):
        self.look(40)
        minutes = [5, 10, 65]
        ages = [timedelta(days=days, minutes=more) for days in (0, 1, 10, 100, 800) for more in minutes]
        self.env["loomworks.volume.usage"].create(
            [
                {"volume_id": self.volume.id, "read_at": NOON - age, "used_bytes": index, "size_bytes": 5 * GI}
                for index, age in enumerate(ages)
            ]
        )
        self.env["loomworks.volume.usage"]._gc_thin()
        kept = self.volume.usage_ids.sorted("read_at", reverse=True).mapped("read_at")
        dense = [NOON, *(NOON - age for age in ages[:6])]
        self.assertEqual(kept, [*dense, NOON - ages[6], NOON - ages[8], NOON - ages[9]])

    def test_forecast_is_made_of_the_readings(self):
        self.look(40)
        self.assertEqual(self.volume.outlook, "unknown")
        history = [
            {"volume_id": self.volume.id, "read_at": NOON - timedelta(days=day), "size_bytes": 5 * GI}
            | {"used_bytes": (2 - day / 10) * GI}
            for day in range(1, 11)
        ]
        self.env["loomworks.volume.usage"].create(history)
        self.look(40.2, after=timedelta(hours=2))
        self.assertEqual((self.volume.outlook, str(self.volume.full_on)), ("growing", "2026-12-25"))
        self.assertIn("Full about 2026-12-25", self.tenant.volume_forecast)

    def test_readings_for_all_forecasts_are_one_query_evenly_over_each_volumes_time(self):
        self.look(40)
        second = self.env["loomworks.volume"].create({"tenant_id": self.make_active("globex").id})
        third = self.env["loomworks.volume"].create({"tenant_id": self.make_active("empty").id})
        usages = self.env["loomworks.volume.usage"]
        usages.search([]).unlink()

        def remember(volume, hours):
            common = {"volume_id": volume.id, "size_bytes": 5 * GI}
            usages.create([{**common, "read_at": NOON - timedelta(hours=h), "used_bytes": h} for h in hours])

        remember(self.volume, range(1000))  # every hour, for longer than is looked at
        remember(second, (0, 5, 30))
        self.env.flush_all()
        with self.assertQueryCount(1):
            found = usages._spread(self.volume | second | third, NOON - WINDOW)
        hours = [(NOON - one.at).total_seconds() / 3600 for one in found[self.volume.id]]
        self.assertEqual((hours[0], hours[-1], len(hours)), (28 * 24, 0, 60))
        steps = {before - after for before, after in itertools.pairwise(hours)}
        self.assertLessEqual(steps, {11, 12})
        self.assertEqual([one.used for one in found[second.id]], [30, 5, 0])
        self.assertEqual(found[third.id], [])


class TestVolumeChart(VolumeCase):
    """What is drawn of a volume of 5 GiB."""

    def remember(self, *percents):
        """Have been read on so many days before now, and be read now for the last of these; nothing else is known."""
        self.volume.sudo().usage_ids.unlink()
        self.volume.sudo().read_at = False
        self.look(percents[-1])
        common = {"volume_id": self.volume.id, "size_bytes": 5 * GI}
        rows = [
            {**common, "read_at": NOON - timedelta(days=day), "used_bytes": round(percent / 100 * 5 * GI)}
            for day, percent in enumerate(reversed(percents))
        ]
        self.env["loomworks.volume.usage"].create(rows[1:])
        self.volume.sudo()._foresee(NOON)
        return self.volume.chart

    def test_growing_volume_is_drawn_day_by_day_and_up_to_the_day_it_is_full(self):
        chart = self.remember(*range(40, 51))
        day, noon = 86400 * 1000, 1000 * int(NOON.replace(tzinfo=UTC).timestamp())
        self.assertEqual([one[0] for one in chart["readings"]], [noon - (10 - n) * day for n in range(11)])
        used = [round(percent / 100 * 5 * GI) for percent in range(40, 51)]
        self.assertEqual([one[1] for one in chart["readings"]], used)
        self.assertEqual({one[2] for one in chart["readings"]}, {5 * GI})
        self.assertEqual(chart["ahead"], [[noon, 2.5 * GI], [noon + 49.5 * day, 5 * GI]])  # the fiftieth day's midnight
        self.assertIn("Full about 2027-01-14, at 51.2Mi a day", self.volume.forecast)

    def test_what_does_not_grow_has_no_line_ahead(self):
        for name, percents in (("flat", [40] * 11), ("shrinking", range(50, 39, -1))):
            with self.subTest(name):
                chart = self.remember(*percents)
                self.assertEqual((len(chart["readings"]), chart["ahead"]), (11, []))
                self.assertEqual(self.volume.forecast, "It is not growing noticeably.")

    def test_full_volume_is_not_drawn_ahead_nor_one_that_is_full_today_into_the_past(self):
        chart = self.remember(*range(90, 101))
        self.assertEqual((chart["ahead"], str(self.volume.full_on)), ([], "2026-11-25"))
        chart = self.remember(*(percent - 0.1 for percent in range(50, 101, 5)))
        self.assertEqual(str(self.volume.full_on), "2026-11-25")
        (begin, used), (end, size) = chart["ahead"]
        self.assertEqual((begin, size), (end, 5 * GI))
        self.assertLess(used, size)

    def test_little_or_nothing_is_drawn_as_it_is(self):
        self.look()
        self.assertEqual(self.volume.chart, {"readings": [], "ahead": []})
        self.assertIn("Too little is known yet", self.volume.forecast)
        chart = self.remember(40)
        self.assertEqual((len(chart["readings"]), chart["ahead"]), (1, []))
        self.assertIn("Too little is known yet", self.volume.forecast)

    def test_long_history_is_drawn_by_some_readings_the_last_among_them(self):
        self.look(40)
        common = {"volume_id": self.volume.id, "size_bytes": 5 * GI, "used_bytes": GI}
        ages = [timedelta(hours=hours) for hours in (*range(1, 599), 91 * 24)]
        self.env["loomworks.volume.usage"].create([{**common, "read_at": NOON - age} for age in ages])
        readings = self.volume.chart["readings"]
        self.assertEqual((len(readings), readings[-1][1]), (300, 2 * GI))

    def test_volume_says_when_it_is_deleted(self):
        self.look(40)
        self.assertFalse(self.volume.deleted_on)
        self.tenant.subscription_expires = "2026-12-01"
        days = [f"{self.volume[name]:%Y-%m-%d}" for name in ("archived_on", "deleted_on")]
        self.assertEqual(days, ["2027-01-31", "2027-03-02"])


def unreachable(kube):
    raise ClusterUnreachable("no answer")


class TestVolumeAccess(VolumeCase):
    def test_administrators_see_their_own_volumes_only(self):
        self.look(40)
        other = self.make_active("globex", admin_ids=[(6, 0, self.stranger.ids)])
        row = self.env["loomworks.volume"].create({"tenant_id": other.id})
        for user, seen in (
            (self.customer, self.volume),
            (self.stranger, row),
            (self.operator, self.volume | row),
            (self.auditor, self.volume | row),
        ):
            with self.subTest(user.login):
                self.assertEqual(self.env["loomworks.volume"].with_user(user).search([]), seen)
                readings = self.env["loomworks.volume.usage"].with_user(user).search([])
                self.assertEqual(bool(readings), self.volume in seen)
        with self.assertRaises(AccessError):
            self.volume.with_user(self.stranger).read(["used"])

    def test_nobody_writes_volumes_or_readings(self):
        self.look(40)
        for user in (self.customer, self.operator, self.auditor):
            for rows in (self.volume, self.volume.usage_ids):
                with self.subTest(user.login, rows=rows._name), self.assertRaises(AccessError):
                    rows.with_user(user).write({"used_bytes": 0})
                with self.subTest(user.login, rows=rows._name), self.assertRaises(AccessError):
                    rows.with_user(user).unlink()


class TestVolumeWarnings(VolumeCase):
    def test_administrators_and_operators_are_told_once_by_activity_and_mail(self):
        operators = self.env.ref("loomworks_tenant.group_operator").user_ids.filtered("active")
        self.look(79)
        self.assertFalse([*self.alarms(), *self.mails()])
        for minutes, percent in ((5, 81), (10, 79), (15, 83)):
            self.look(percent, after=timedelta(minutes=minutes))
        self.assertEqual(self.alarms().user_id, operators | self.customer)
        self.assertEqual(len(self.alarms()), len(operators | self.customer))
        told = self.mails().mapped("email_to")
        self.assertEqual(sorted(told), sorted((operators | self.customer).filtered("email").mapped("email_formatted")))
        self.assertIn("81", self.mails()[0].subject)
        self.assertEqual(self.tenant.volume_warning, "80")

    def test_ninety_percent_is_told_anew_and_replaces_the_first_warning(self):
        self.look(81)
        before = len(self.mails())
        self.look(91, after=timedelta(minutes=5))
        self.assertEqual(len(self.mails()), 2 * before)
        self.assertEqual(set(self.alarms().mapped("summary")), {"the volume is 91 % full"})
        self.look(84, after=timedelta(minutes=10))
        self.assertEqual((self.tenant.volume_warning, len(self.mails())), ("80", 2 * before))

    def test_warning_is_cleared_when_there_is_room_again(self):
        self.look(81)
        self.look(76, after=timedelta(minutes=5))
        self.assertTrue(self.alarms())
        self.look(70, after=timedelta(minutes=10))
        self.assertFalse(self.alarms())
        self.assertEqual(self.tenant.volume_warning, "0")
        self.assertIn("room again", self.tenant.message_ids[0].body)

    def test_inodes_that_run_out_are_a_warning_too(self):
        self.look(usage=Usage(NOON, GI, 5 * GI, 1000, 950))
        self.assertEqual(set(self.alarms().mapped("summary")), {"95 % of the volume's inodes are used"})


class TestVolumeGrowsByItself(VolumeCase):
    def setUp(self):
        super().setUp()
        self.plan.write({"volume_grow_at": 80, "volume_grow_by": 20, "volume_ceiling": "7G"})

    def test_volume_grows_at_the_threshold_step_by_step_up_to_the_ceiling(self):
        self.look(79)
        self.assertEqual(self.tenant.volume_size, "5Gi")
        self.look(85, after=timedelta(minutes=5))
        self.assertEqual(self.tenant.volume_size, "6Gi")
        self.look(86, after=timedelta(minutes=10))  # the claim has 5Gi still
        self.assertEqual(self.tenant.volume_size, "6Gi")
        self.look(87, after=timedelta(minutes=15), requested=6 * GI, capacity=6 * GI)
        self.assertEqual(self.tenant.volume_size, "7Gi")
        self.look(99, after=timedelta(minutes=20), requested=7 * GI, capacity=7 * GI)
        self.assertEqual(self.tenant.volume_size, "7Gi")
        entries = self.env["loomworks.audit"].search([("action", "=", "resize_volume")], order="id")
        self.assertEqual(entries.mapped("result")[0], "5Gi -> 6Gi: by itself, at 85 % full")
        self.assertEqual(len(entries), 2)

    def test_growth_waits_for_a_reading_from_after_the_last_resize(self):
        self.look(50)
        with freeze_time(NOON + timedelta(minutes=4)):
            self.tenant.resize_volume("6Gi")
        stale = Usage(NOON + timedelta(minutes=3), round(4.9 * GI), 5 * GI)
        self.look(usage=stale, after=timedelta(minutes=5), requested=6 * GI, capacity=6 * GI)
        self.assertEqual(self.tenant.volume_size, "6Gi")

    def test_volume_that_has_more_than_its_row_says_grows_from_what_it_has(self):
        """Its next size was counted from the row: below the capacity, so that the volume filled up as it was."""
        self.plan.volume_ceiling = "20Gi"
        self.look(85, requested=9 * GI, capacity=9 * GI)
        self.assertEqual(self.tenant.volume_size, "11Gi")

    def test_volume_that_has_its_ceiling_already_does_not_grow_and_says_so(self):
        self.look(85, requested=8 * GI, capacity=8 * GI)
        self.assertEqual(self.tenant.volume_size, "5Gi")
        self.assertIn("It has reached its ceiling", self.alarms()[0].note)

    def test_volume_grows_by_itself_up_to_the_storage_that_the_tenant_may_have_and_says_so(self):
        self.plan.volume_ceiling = "20Gi"
        self.tenant.max_storage_gb = 5.5
        self.look(81)
        self.assertEqual(self.tenant.volume_size, "5632Mi")
        self.assertIn("It has reached the storage that the tenant may have, 5632Mi", self.alarms()[0].note)
        grown = {"requested": 5632 * MI, "capacity": 5632 * MI}
        self.look(95, after=timedelta(minutes=5), **grown)
        self.assertEqual(self.tenant.volume_size, "5632Mi")
        self.assertIn("raise that limit, or resize it", self.alarms()[0].note)
        self.tenant.max_storage_gb = 0
        self.look(95, after=timedelta(minutes=10), **grown)
        self.assertEqual(self.tenant.volume_size, "7Gi", "0 is no limit")

    def test_tenant_that_has_all_the_storage_it_may_have_does_not_grow(self):
        self.tenant.max_storage_gb = 5
        self.look(95)
        self.assertEqual(self.tenant.volume_size, "5Gi")
        self.assertIn("may have, 5Gi, and does not grow", self.alarms()[0].note)

    def test_suspended_tenant_does_not_grow(self):
        self.tenant.action_suspend()
        self.look(95)
        self.assertEqual(self.tenant.volume_size, "5Gi")

    def test_warning_says_whether_it_grows_by_itself(self):
        self.look(81)
        self.assertIn("It grows by itself, up to 7Gi", self.alarms()[0].note)

    def test_rule_without_a_ceiling_is_refused(self):
        for ceiling in (False, "much"):
            with self.subTest(ceiling), self.assertRaises(ValidationError):
                self.plan.volume_ceiling = ceiling


class TestVolumeResizeTakenBack(VolumeCase):
    def test_stuck_growth_is_taken_back_above_the_capacity(self):
        self.tenant.resize_volume("500Gi")
        self.look(40, requested=500 * GI, growth=Growth.INFEASIBLE, growth_message="too large")
        with self.assertRaisesRegex(UserError, "a volume only grows"):
            self.tenant.resize_volume("5Gi")
        self.tenant.resize_volume("6Gi")
        self.assertEqual(self.tenant.volume_size, "6Gi")

    def test_growth_that_gets_on_is_not_taken_back(self):
        self.tenant.resize_volume("500Gi")
        self.look(40, requested=500 * GI, growth=Growth.ASKED)
        with self.assertRaisesRegex(UserError, "a volume only grows"):
            self.tenant.resize_volume("6Gi")

    def refuse(self, code):
        """Have the growth be refused, as the last step tells."""
        self.look(40)
        step = self.tenant.sudo().step_ids.filtered(lambda one: one.code == "volume_growth")
        step.write({"state": "failed", "error_code": code})

    def test_growth_that_was_never_asked_for_is_taken_back_to_what_the_volume_has(self):
        """The size stood in the row, and taking it back was refused: the tenant's last step failed for ever."""
        for code in ("quota_exceeded", "expansion_not_allowed"):
            with self.subTest(code):
                self.tenant.resize_volume("500Gi")
                self.refuse(code)
                with self.assertRaisesRegex(UserError, "has 5Gi: a volume only grows"):
                    self.tenant.resize_volume("4Gi")
                self.tenant.resize_volume("5Gi")
                self.assertEqual(self.tenant.volume_size, "5Gi")
                self.finish_steps(self.tenant)

    def test_growth_by_the_plan_or_by_itself_that_is_refused_is_taken_back_as_well(self):
        self.plan.volume_size = "20Gi"
        self.refuse("quota_exceeded")
        self.tenant.resize_volume("5Gi")
        self.assertEqual(self.tenant.volume_size, "5Gi")
        self.finish_steps(self.tenant)
        self.plan.write({"volume_grow_at": 80, "volume_grow_by": 20, "volume_ceiling": "9Gi"})
        self.look(85, after=timedelta(minutes=5))
        self.assertEqual(self.tenant.volume_size, "6Gi")
        self.refuse("expansion_not_allowed")
        self.tenant.resize_volume("5Gi")
        self.assertEqual(self.tenant.volume_size, "5Gi")

    def test_refused_growth_on_top_of_one_that_was_asked_for_is_taken_back_above_the_capacity(self):
        self.tenant.resize_volume("500Gi")
        self.look(40, requested=20 * GI, growth=Growth.ASKED)
        self.refuse("quota_exceeded")
        with self.assertRaisesRegex(UserError, "has 5Gi: a volume only grows"):
            self.tenant.resize_volume("5Gi")
        self.tenant.resize_volume("6Gi")
        self.assertEqual(self.tenant.volume_size, "6Gi")

    def test_volume_that_somebody_grew_in_the_cluster_is_not_asked_to_shrink(self):
        self.look(40, requested=9 * GI, capacity=9 * GI)
        with self.assertRaisesRegex(UserError, "has 9Gi"):
            self.tenant.resize_volume("6Gi")
