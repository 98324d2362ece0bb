"""Orphans as rows: found, kept up to date, closed, and deleted only when an operator has confirmed them."""

import json
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from unittest.mock import patch

from freezegun import freeze_time
from odoo import fields
from odoo.addons.loomworks_tenant.errors import RetryableError
from odoo.addons.loomworks_tenant.kube import names
from odoo.exceptions import AccessError, UserError
from odoo.tests import tagged
from odoo.tools import SQL

from ..models import orphan_sweep, orphan_work
from ..orphans import exports, listing
from ..orphans.removal import Refused
from ..orphans.sighting import Kind, Sighting
from .common import FilesCase

START = fields.Datetime.to_datetime("2026-03-01 10:00:00")
LOST = "9d0e8a52-6f0e-4b0e-9d0e-2f6f1c7a9b11"


def namespace(uuid=LOST, uid="n", **values):
    return Sighting(Kind.NAMESPACE, names.namespace(uuid), uuid, uid=uid, **values)


def claim(uuid=LOST, uid="c", **values):
    return Sighting(Kind.CLAIM, names.volume_claim(uuid), uuid, names.namespace(uuid), uid, size=5 * 2**30, **values)


def database(uuid=LOST, suffix="", **values):
    return Sighting(Kind.DATABASE, f"t_{uuid.replace('-', '')}{suffix}", uuid, **values)


def role(uuid=LOST, **values):
    return Sighting(Kind.ROLE, f"t_{uuid.replace('-', '')}", uuid, **values)


@tagged("post_install", "-at_install")
class TestOrphans(FilesCase):
    def setUp(self):
        super().setUp()
        self.clock = self.startPatcher(freeze_time(START))
        self.patch(type(self.env["ir.cron"]), "_commit_progress", lambda *args, **options: 1.0)
        self.patch(type(self.cluster), "_client", lambda cluster: cluster.name)
        self.env["loomworks.cluster"].search([("id", "!=", self.cluster.id)]).active = False
        self.startPatcher(patch.dict("os.environ", {"FILES_KEY": "account", "FILES_SECRET": "secret"}))
        self.in_cluster, self.on_server, self.in_bucket, self.exported = [], [], [], []
        self.patch(listing, "of_cluster", lambda client: self.listed(self.in_cluster))
        self.patch(listing, "of_server", lambda server: self.listed(self.on_server))
        self.patch(listing, "of_bucket", lambda store: self.listed(self.in_bucket))
        self.patch(listing, "of_exports", lambda store: self.listed(self.exported))
        self.patch(exports, "beside", lambda location: location)
        self.empty = set()
        used = lambda location: SimpleNamespace(is_used=lambda: location.tenant not in self.empty)  # noqa: E731
        self.patch(orphan_sweep, "Store", used)
        self.removed = []
        self.patch(orphan_work, "look", self.look)
        self.patch(orphan_work, "remove", self.remove)
        self.patch(orphan_work, "beside", lambda one, place: [])
        # A cursor of its own would not see what this test has not committed.
        self.patch(type(self.env["loomworks.orphan"]), "_known_now", lambda orphan: orphan._known())
        self.patch(orphan_work, "Store", lambda location: location)
        self.stand(self.tenant)
        self.clock.tick(timedelta(days=1))

    def listed(self, found):
        if isinstance(found, Exception):
            raise found
        return list(found)

    def look(self, one, place):
        everything = [*self.in_cluster, *self.on_server, *self.in_bucket, *self.exported]
        return next((other for other in everything if other.key == one.key), None)

    def remove(self, one, place):
        for found in (self.in_cluster, self.on_server, self.in_bucket, self.exported):
            if one in found:
                found.remove(one)
                self.removed.append(one)
        return True

    def stand(self, tenant):
        """Have everything be there that a tenant needs."""
        self.in_cluster += [namespace(tenant.uuid, f"n{tenant.id}"), claim(tenant.uuid, f"c{tenant.id}")]
        self.on_server += [database(tenant.uuid), role(tenant.uuid)]

    def sweep(self):
        self.env["loomworks.orphan"].sudo()._cron_sweep()
        return self.found

    @property
    def found(self):
        self.env.flush_all()
        return self.env["loomworks.orphan"].with_user(self.operator).search([("state", "in", ("open", "confirmed"))])

    def work(self, orphan):
        orphan.sudo().reconcile_at = fields.Datetime.now()
        return orphan.sudo()._reconcile_step()

    def old(self):
        """Find the orphans of a tenant that nobody knows, and let the grace period pass."""
        self.in_cluster += [namespace(), claim()]
        self.on_server += [database(size=1000), role(refusal="it owns 1 database(s)")]
        self.in_bucket += [Sighting(Kind.FILES, LOST, LOST)]
        self.exported += [Sighting(Kind.EXPORTS, LOST, LOST, size=70)]
        found = self.sweep()
        self.clock.tick(timedelta(days=7))
        found.invalidate_recordset()
        return found

    def test_tenant_that_stands_has_no_orphans(self):
        self.assertFalse(self.sweep())
        self.assertTrue(self.cluster.orphans_swept_at)

    def test_sweep_leaves_the_tenants_rows_to_the_reconciler(self):
        with patch.object(type(self.tenant), "_lay_out_steps") as laid_out:
            self.sweep()
        laid_out.assert_not_called()

    def test_what_nobody_names_is_found_once_and_closed_when_it_is_gone(self):
        self.in_cluster += [namespace(created=START), claim(evidence="Bound")]
        found = self.sweep()
        self.assertEqual(set(found.mapped("kind")), {"namespace", "claim"})
        self.assertEqual(found.filtered(lambda one: one.kind == "claim").evidence, "Bound")
        first = fields.Datetime.now()
        self.clock.tick(timedelta(days=3))
        self.assertEqual(self.sweep(), found)
        self.assertEqual(set(found.mapped("first_seen_at")), {first})
        self.assertEqual(found.filtered("created_at").age_days, 4)
        del self.in_cluster[-2:]
        self.assertFalse(self.sweep())
        self.assertEqual(set(found.mapped("state")), {"gone"})

    def test_of_rows_for_one_server_the_one_in_use_is_asked(self):
        server = self.tenant.server_id.sudo()
        second = server.copy({"name": "The same server, with the new password"})
        server.active = False  # it keeps its tenants, and comes before the other
        areas = self.env["loomworks.orphan"].sudo()._areas()
        (area,) = [area for area in areas if area.rows._name == server._name and server in area.rows]
        self.assertEqual(list(area.rows), [second, server])

    def test_place_that_several_rows_name_is_looked_at_once(self):
        second = self.cluster.copy({"name": "The same cluster, with another storage class", "sequence": 99})
        server = self.tenant.server_id.sudo().copy({"name": "The same server", "cluster_id": second.id})
        self.in_cluster += [namespace()]
        self.on_server += [role()]
        self.in_bucket += [Sighting(Kind.FILES, LOST, LOST)]
        found = self.sweep()
        self.assertEqual(sorted(found.mapped("kind")), ["files", "namespace", "role"])
        self.assertEqual((found.cluster_id, found.server_id), (self.cluster, self.tenant.server_id))
        self.assertTrue(second.orphans_swept_at)
        found.sudo().filtered("cluster_id")[0].copy({"cluster_id": second.id})  # as earlier sweeps left them
        found.sudo().filtered("server_id").copy({"server_id": server.id})
        self.assertEqual(self.sweep(), found)
        move = SQL("UPDATE loomworks_tenant SET cluster_id = %s WHERE id = %s", second.id, self.tenant.id)
        self.env.cr.execute(move)  # as if it had been made by the other row: it is the same place
        self.env.invalidate_all()
        self.in_cluster = [one for one in self.in_cluster if one.name != names.volume_claim(self.tenant.uuid)]
        self.assertEqual((self.sweep() - found).mapped("kind"), ["claim"])

    def test_another_object_of_the_same_name_is_another_finding(self):
        self.in_cluster += [namespace(uid="first")]
        first = self.sweep()
        self.in_cluster[-1] = namespace(uid="second")
        second = self.sweep()
        self.assertEqual((first.state, second.state, second.uid), ("gone", "open", "second"))

    def test_place_that_cannot_be_asked_keeps_its_findings_and_the_others_go_on(self):
        self.in_cluster += [namespace()]
        found = self.sweep()
        self.in_cluster, self.on_server = RetryableError("the API server is away"), [*self.on_server, role()]
        with self.assertLogs(orphan_sweep._logger, "WARNING"):
            both = self.sweep()
        self.assertEqual((found.state, len(both)), ("open", 2))
        self.assertEqual(self.cluster.orphans_problem, "the API server is away")
        self.in_cluster = []
        self.sweep()
        self.assertFalse(self.cluster.orphans_problem)

    def test_what_a_row_names_and_is_not_there_is_found_with_what_to_do(self):
        del self.on_server[0]
        found = self.sweep()
        self.assertEqual((found.kind, found.missing, found.tenant_id), ("database", True, self.tenant))
        self.assertIn("Do not use “Retry”", found.remedy)
        with self.assertRaisesRegex(UserError, "not there"):
            found.action_clean(1)
        self.tenant.with_user(self.operator).action_retry()
        self.assertFalse(self.sweep(), "somebody works on it")

    def test_every_kind_that_a_row_names_is_missed(self):
        backup = self.a_backup(fields.Datetime.now())
        running = {"state": "running", "began_at": fields.Datetime.now() - timedelta(minutes=9)}
        backup.write(running)
        home, uuid = names.namespace(self.tenant.uuid), self.tenant.uuid
        there = [Sighting(Kind.JOB, f"files-backup-{backup.id}", uuid, home, "j"), *self.in_cluster]
        lost = claim(uuid, f"c{self.tenant.id}", lost="pv-1")
        files = Sighting(Kind.FILES, uuid, uuid)
        self.assertFalse(self.sweep(), "its Job has just been asked for")
        self.clock.tick(timedelta(minutes=2))
        for kind, name, in_cluster, on_server in (
            ("namespace", home, there[2:], None),
            ("claim", names.volume_claim(uuid), there[1:2], None),
            ("volume", "pv-1", [there[1], lost], None),
            ("role", role(uuid).name, there[1:], [database(uuid)]),
            ("job", f"files-backup-{backup.id}", there[1:], None),
        ):
            with self.subTest(kind):
                self.in_cluster = in_cluster if kind == "job" else [there[0], *in_cluster]
                self.on_server = on_server or [database(uuid), role(uuid)]
                self.in_bucket = [files]
                found = self.sweep()
                self.assertEqual((found.kind, found.name, found.missing), (kind, name, True))
                self.assertEqual((found.tenant_id, bool(found.remedy)), (self.tenant, True))
                with self.assertRaisesRegex(UserError, "nothing to delete"):
                    found.action_clean(1)
        self.in_cluster, self.on_server = there, [database(uuid), role(uuid)]
        self.assertFalse(self.sweep())

    def test_job_that_builds_a_template_is_an_orphan_once_nobody_builds_it(self):
        template = self.env["loomworks.template"].sudo()._ensure(self.plan, self.server)
        template.write({"state": "building", "reconcile_at": fields.Datetime.now()})
        name = template._to_spec().job
        build = Sighting(Kind.JOB, name, "", "lw-templates", "t", created=START, evidence="builds a template database")
        old = replace(build, name="template-basic-0123456789ab", uid="old")
        self.in_cluster += [build, old]
        self.assertEqual(self.sweep().mapped("uid"), ["old"])
        template.write({"state": "ready", "reconcile_at": False})
        found = self.sweep()
        self.assertEqual(sorted(found.mapped("uid")), ["old", "t"])
        self.assertEqual(set(found.mapped("evidence")), {"builds a template database"})
        self.assertEqual((found.mapped("deletable"), found[0].age_days), ([False, False], 1))
        with self.assertRaisesRegex(UserError, "Too young"):
            found.action_clean(2)
        self.clock.tick(timedelta(days=7))
        found.invalidate_recordset()
        self.assertEqual(found.mapped("deletable"), [True, True])
        found.action_clean(2)
        template.write({"state": "failed"})  # it is built again meanwhile
        for one in found:
            self.work(one)
        self.assertEqual([one.uid for one in self.removed], ["old"])
        self.assertEqual({one.uid: one.state for one in found}, {"old": "deleted", "t": "open"})

    def test_exports_of_a_tenant_with_a_row_are_no_orphans(self):
        self.exported = [Sighting(Kind.EXPORTS, self.tenant.uuid, self.tenant.uuid)]
        self.assertFalse(self.sweep())
        self.exported += [Sighting(Kind.EXPORTS, LOST, LOST, size=70, evidence="2 file(s)")]
        found = self.sweep()
        self.assertEqual((found.kind, found.tenant_uuid, found.size_bytes), ("exports", LOST, 70))

    def test_what_is_taken_away_while_the_lists_are_made_is_not_missing(self):
        def taken_away(client):
            self.tenant.with_user(self.operator).action_archive()
            self.tenant.with_user(self.operator).action_erase(self.tenant.name, "The test is over.")
            return iter(())

        self.patch(listing, "of_cluster", taken_away)
        self.assertFalse(self.sweep())

    def test_files_that_are_gone_from_the_bucket_are_missing(self):
        self.a_backup(fields.Datetime.now())
        found = self.sweep()
        self.assertEqual((found.kind, found.missing), ("files", True))
        self.in_bucket = [Sighting(Kind.FILES, self.tenant.uuid, self.tenant.uuid)]
        self.assertFalse(self.sweep())

    def test_files_of_an_erased_tenant_are_the_collectors_until_it_has_removed_them(self):
        backup = self.a_backup(fields.Datetime.now())
        self.in_bucket = [Sighting(Kind.FILES, self.tenant.uuid, self.tenant.uuid)]
        self.tenant.sudo().write({"erased_at": fields.Datetime.now()})
        self.in_cluster, self.on_server = [], []
        self.assertFalse(self.sweep())
        backup.removed = True
        self.assertEqual(self.sweep().kind, "files")

    def test_folder_without_objects_is_no_orphan(self):
        self.in_bucket, self.empty = [Sighting(Kind.FILES, LOST, LOST)], {LOST}
        self.assertFalse(self.sweep())
        self.empty = set()
        self.assertEqual(self.sweep().kind, "files")

    def test_row_that_appears_closes_its_findings(self):
        self.in_cluster += [namespace()]
        found = self.sweep()
        self.make_tenant("again").sudo().uuid = LOST
        self.assertFalse(self.sweep())
        self.assertEqual(found.state, "gone")

    def test_nothing_young_is_deleted(self):
        self.in_cluster += [namespace(created=fields.Datetime.now() + timedelta(days=5))]
        found = self.sweep()
        self.clock.tick(timedelta(days=8))
        found.invalidate_recordset()
        self.assertFalse(found.deletable, "made after it was first seen, by its own word")
        with self.assertRaisesRegex(UserError, "Too young"):
            found.action_clean(1)
        self.clock.tick(timedelta(days=4))
        found.invalidate_recordset()
        self.assertTrue(found.deletable)

    def test_grace_is_the_clusters(self):
        self.in_cluster += [namespace()]
        found = self.sweep()
        self.assertFalse(found.deletable)
        self.cluster.orphan_grace_days = 0
        self.assertTrue(found.deletable)

    def test_confirmed_ones_go_in_order_each_with_its_audit_rows(self):
        found = self.old()
        found.action_clean(len(found))
        self.on_server[-1] = role()
        for orphan in [*found.sorted(lambda one: one.kind, reverse=True)] * 5:
            if orphan.state == "confirmed":
                self.work(orphan)
        self.assertEqual(set(found.mapped("state")), {"deleted"})
        kinds = [one.kind.value for one in self.removed]
        self.assertEqual(kinds, ["namespace", "claim", "database", "role", "files", "exports"])
        entries = self.env["loomworks.audit"].search([("model_name", "=", "loomworks.orphan")])
        self.assertEqual(sorted(set(entries.mapped("action"))), ["orphan_confirm", "orphan_deleted"])
        self.assertEqual(len(entries), 2 * len(found))
        self.assertEqual(len(self.in_cluster), 2, "the neighbour stays")

    def test_row_that_appears_meanwhile_keeps_what_was_confirmed(self):
        found = self.old()
        found.action_clean(len(found))
        self.make_tenant("again").sudo().uuid = LOST
        for orphan in found:
            self.work(orphan)
        self.assertFalse(self.removed)
        orphan = found.filtered(lambda one: one.kind == "namespace")
        self.assertEqual((orphan.state, orphan.error_code), ("open", "orphan_refused"))
        self.assertIn("names it by now", orphan.error_message)

    def test_grace_that_was_made_longer_meanwhile_holds(self):
        found = self.old().filtered(lambda one: one.kind == "namespace")
        found.action_clean(1)
        self.cluster.orphan_grace_days = 30
        self.work(found)
        self.assertEqual((found.state, self.removed), ("open", []))

    def test_place_that_is_away_is_asked_again(self):
        found = self.old().filtered(lambda one: one.kind == "namespace")
        found.action_clean(1)
        remove = self.remove
        self.patch(orphan_work, "remove", lambda one, place: self.listed(RetryableError("away")))
        self.assertTrue(self.work(found))
        self.assertEqual((found.state, found.error_message), ("confirmed", "away"))
        self.patch(orphan_work, "remove", remove)
        self.work(found)
        self.assertEqual((found.state, found.error_message), ("deleted", False))

    def test_refusal_of_the_place_goes_back_into_the_list(self):
        found = self.old().filtered(lambda one: one.kind == "database")
        found.action_clean(1)

        def used(one, place):
            raise Refused("2 connection(s) to it are open")

        self.patch(orphan_work, "remove", used)
        self.work(found)
        self.assertEqual((found.state, found.error_message), ("open", "2 connection(s) to it are open"))

    def test_what_was_confirmed_can_be_kept_after_all(self):
        found = self.old().filtered(lambda one: one.kind == "namespace")
        found.action_clean(1)
        found.action_keep()
        self.work(found)
        self.assertEqual((found.state, self.removed), ("open", []))

    def test_dry_run_says_exactly_what_and_deletes_nothing(self):
        found = self.old()
        self.in_cluster += [namespace(uid="young")]
        found |= self.sweep()
        context = {"active_model": "loomworks.orphan", "active_ids": found.ids}
        wizard = self.env["loomworks.orphan.clean"].with_user(self.operator).with_context(**context).create({})
        self.assertEqual((wizard.deletable_count, wizard.refused_count), (6, 1))
        lines = {line.kind: line.what for line in wizard.line_ids if not line.refusal}
        self.assertIn(f"{names.namespace(LOST)} (uid n): the namespace and everything in it", lines["namespace"])
        self.assertFalse(self.removed or found.filtered(lambda one: one.state == "confirmed"))
        wizard.confirm_count = 5
        with self.assertRaisesRegex(UserError, "Type how many"):
            wizard.action_confirm()
        wizard.confirm_count = 6
        wizard.action_confirm()
        self.assertEqual(len(found.filtered(lambda one: one.state == "confirmed")), 6)

    def test_script_is_told_what_would_go_and_nothing_is_changed(self):
        found = self.old()
        self.in_cluster += [namespace(uid="young")]
        found |= self.sweep()
        before = found.read()
        audited = self.env["loomworks.audit"].search_count([])
        told = found.action_dry_run()
        json.dumps(told)
        self.assertEqual(found.read(), before)
        self.assertEqual((self.removed, self.env["loomworks.audit"].search_count([])), ([], audited))
        (left,) = [one for one in told if one["refusal"]]
        self.assertEqual((left["kind"], left["refusal"][:21]), ("namespace", "Too young: not before"))
        going = [one for one in told if not one["refusal"]]
        kinds = ["namespace", "claim", "database", "role", "files", "exports"]
        self.assertEqual([one["kind"] for one in going], kinds, "in the order in which they would go")
        self.assertEqual(going[2]["size_bytes"], 1000)
        self.assertIn(f"{names.namespace(LOST)} (uid n): the namespace and everything in it", going[0]["what"])
        self.assertTrue(found.browse([one["id"] for one in going]).action_clean(len(going)))
        with self.assertRaises(AccessError):
            found.with_user(self.auditor).action_dry_run()

    def test_operators_alone_delete_and_auditors_read(self):
        found = self.old().filtered(lambda one: one.kind == "namespace")
        self.assertTrue(found.with_user(self.auditor).read(["name", "deletable"]))
        for user in (self.auditor, self.customer, self.stranger):
            with self.subTest(user.login), self.assertRaises(AccessError):
                found.with_user(user).action_clean(1)
            with self.assertRaises(AccessError):
                self.env["loomworks.orphan.clean"].with_user(user).create({})
            with self.assertRaises(AccessError):
                self.env["loomworks.orphan"].with_user(user).action_sweep()
        with self.assertRaises(AccessError):
            self.env["loomworks.orphan"].with_user(self.customer).search([])
        with self.assertRaises(AccessError):
            found.write({"state": "deleted"})

    def test_look_now_asks_for_a_sweep(self):
        cron = self.env.ref("loomworks_storage.cron_sweep_orphans")
        before = self.env["ir.cron.trigger"].search_count([("cron_id", "=", cron.id)])
        self.env["loomworks.orphan"].with_user(self.operator).action_sweep()
        self.assertEqual(self.env["ir.cron.trigger"].search_count([("cron_id", "=", cron.id)]), before + 1)
