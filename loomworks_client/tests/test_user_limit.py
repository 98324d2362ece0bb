"""The limit of users: who counts, who does not, and every way to one user more."""

from odoo import Command
from odoo.exceptions import ValidationError

from .common import ClientCase


class TestUserLimit(ClientCase):
    def test_users_up_to_the_limit_are_created(self):
        self.limit_to(2)
        self.hire("one@example.test")
        self.hire("two@example.test")

    def test_one_more_is_refused_with_numbers_and_whom_to_ask(self):
        self.limit_to(1)
        self.hire("one@example.test")
        limit = self.env["res.users"]._internal_user_count().limit
        message = rf"allows {limit} users, .* {limit + 1} .*whoever hosts this Odoo"
        with self.assertRaisesRegex(ValidationError, message):
            self.hire("two@example.test")

    def test_several_at_once_are_refused_together(self):
        self.limit_to(1)
        vals_list = [{"name": name, "login": name} for name in ("one", "two")]
        with self.assertRaises(ValidationError):
            self.env["res.users"].with_user(self.admin).create(vals_list)

    def test_activated_user_counts(self):
        user = self.hire("one@example.test", active=False)
        self.limit_to(0)
        with self.assertRaises(ValidationError):
            user.active = True

    def test_archived_user_makes_room(self):
        user = self.hire("one@example.test")
        self.limit_to(0)
        user.active = False
        self.hire("two@example.test")

    def test_portal_user_does_not_count(self):
        self.limit_to(0)
        self.hire("portal@example.test", "base.group_portal")

    def test_portal_user_who_becomes_internal_counts(self):
        user = self.hire("portal@example.test", "base.group_portal")
        self.limit_to(0)
        with self.assertRaises(ValidationError):
            user.group_ids = [Command.set([self.env.ref("base.group_user").id])]

    def test_user_added_from_the_side_of_a_group_counts(self):
        user = self.hire("nobody@example.test", "base.group_public")
        self.limit_to(0)
        user.sudo().group_ids = [Command.clear()]
        with self.assertRaises(ValidationError):
            self.env.ref("base.group_user").with_user(self.admin).user_ids = [Command.link(user.id)]

    def test_group_that_comes_to_imply_internal_users_counts_its_members(self):
        group = self.env["res.groups"].create({"name": "Volunteers"})
        self.hire("volunteer@example.test", "base.group_public").sudo().group_ids = [Command.set(group.ids)]
        self.limit_to(0)
        with self.assertRaises(ValidationError):
            group.with_user(self.admin).implied_ids = [Command.link(self.env.ref("base.group_user").id)]

    def test_new_group_with_members_counts_them(self):
        user = self.hire("nobody@example.test", "base.group_public")
        user.sudo().group_ids = [Command.clear()]
        self.limit_to(0)
        implied = [Command.link(self.env.ref("base.group_user").id)]
        members = [Command.link(user.id)]
        with self.assertRaises(ValidationError):
            self.env["res.groups"].create({"name": "Hidden", "implied_ids": implied, "user_ids": members})

    def test_group_can_be_renamed_at_the_limit(self):
        self.limit_to(0)
        group = self.env["res.groups"].create({"name": "Volunteers"})
        group.name = "Helpers"
        self.assertEqual(group.name, "Helpers")

    def test_superuser_mode_does_not_pass_the_limit(self):
        self.limit_to(0)
        with self.assertRaises(ValidationError):
            self.env["res.users"].sudo().create({"name": "one", "login": "one"})

    def test_no_parameter_means_no_limit(self):
        self.env.cr.execute("DELETE FROM ir_config_parameter WHERE key = 'loomworks.max_users'")
        self.hire("one@example.test")
        self.assertEqual(self.env["res.users"]._internal_user_count().limit, 0)

    def test_zero_means_no_limit(self):
        self.set_limit(0)
        self.hire("one@example.test")

    def test_value_that_is_no_number_means_no_limit(self):
        self.set_limit("many")
        self.hire("one@example.test")

    def test_limit_is_read_afresh_each_time(self):
        self.limit_to(0)
        with self.assertRaises(ValidationError):
            self.hire("one@example.test")
        self.limit_to(1)
        self.hire("one@example.test")

    def test_users_beyond_a_lowered_limit_can_still_be_changed(self):
        user = self.hire("one@example.test")
        self.set_limit(1)
        user.group_ids = [Command.link(self.env.ref("base.group_partner_manager").id)]
        user.name = "One"

    def test_odoobot_and_the_service_user_do_not_count(self):
        self.env.cr.execute("SELECT count(*) FROM res_users WHERE active AND NOT share")
        internal = self.env.cr.fetchone()[0]
        self.assertEqual(self.env["res.users"]._internal_user_count().users, internal - 1)
        self.assertFalse(self.service.share)
