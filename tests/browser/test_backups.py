"""An operator looks at a server's backups and has one made."""


def test_operator_sees_how_backups_stand_and_asks_for_one(page, stack, log_in, picture):
    log_in()
    page.goto(f"{stack['LOOMWORKS_URL']}/odoo/action-loomworks_tenant.action_database_server")
    page.click(".o_data_row >> nth=0")
    page.click(".o_notebook .nav-link:has-text('Backups')")
    page.wait_for_selector("[name=base_backup_ids] .o_data_row:has-text('Done')")
    picture("server-backups")
    page.click("button[name=action_backup_incremental]")
    page.wait_for_selector(".o_notification:has-text('asked for')")
    page.click("button[name=action_base_backups]")
    page.wait_for_selector(".o_last_breadcrumb_item:has-text('Base backups')")
    page.click(".o_data_row:has-text('Done') >> nth=0")
    page.wait_for_selector(".o_form_view .o_field_widget[name=lsn_stop]:has-text('/')")
    picture("base-backup")
