"""A tenant's crons and websockets wake by NOTIFY although its role may not connect to ``postgres``."""

import json
import select
import time
from contextlib import closing

import psycopg2
import pytest
import websocket

WAKE_TIMEOUT = 45  # seconds; without a notification, crons look once a minute, and websockets not at all
PAST = "2020-01-01 00:00:00"


def server_action(odoo, code):
    """Run Python code in the server as its administrator."""
    model = odoo.call("ir.model", "search", [["model", "=", "res.partner"]])[0]
    values = {"name": "test", "model_id": model, "state": "code", "code": code}
    action = odoo.call("ir.actions.server", "create", [values])[0]
    odoo.call("ir.actions.server", "run", [action])


def listen(connection, *channels):
    connection.autocommit = True
    for channel in channels:
        connection.cursor().execute(f"LISTEN {channel}")
    return connection


def heard(connection, seconds, database):
    """Return on which channels something was said of a database; Odoos of other tests may use the shared one."""
    end = time.monotonic() + seconds
    found = set()
    while not found and (left := end - time.monotonic()) > 0:
        select.select([connection], [], [], left)
        connection.poll()
        found = {notification.channel for notification in connection.notifies if database in notification.payload}
    return found


def make_cron(odoo, name):
    model = odoo.call("ir.model", "search", [["model", "=", "ir.config_parameter"]])[0]
    code = f"env['ir.config_parameter'].sudo().set_param({name!r}, 'ran')"
    values = {"name": name, "model_id": model, "state": "code", "code": code, "nextcall": "2100-01-01 00:00:00"}
    return odoo.call("ir.cron", "create", [{**values, "interval_number": 1, "interval_type": "months"}])[0]


def wait_for_parameter(odoo, key):
    deadline = time.monotonic() + WAKE_TIMEOUT
    while time.monotonic() < deadline:
        if odoo.call("ir.config_parameter", "get_param", key):
            return True
        time.sleep(0.2)
    return False


def wait_until_crons_listen(role):
    """Wait for what the server does after it has begun to serve: nobody is told of what was notified before."""
    deadline = time.monotonic() + WAKE_TIMEOUT
    with closing(role.connect()) as connection, connection.cursor() as cursor:
        while time.monotonic() < deadline:
            cursor.execute(
                "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'odoo-%-channels'"
                " AND state = 'idle' AND query = 'COMMIT'"
            )
            if cursor.fetchone():
                return
            connection.rollback()
            time.sleep(0.2)
    raise AssertionError("the crons do not listen")


@pytest.fixture
def socket(odoo, session_cookie):
    connection = websocket.create_connection(
        f"ws://127.0.0.1:{odoo.port}/websocket?version=19.0-2",
        cookie=session_cookie,
        origin=f"http://127.0.0.1:{odoo.port}",
        timeout=WAKE_TIMEOUT,
    )
    subscription = {"event_name": "subscribe", "data": {"channels": [], "last": 0}}
    connection.send(json.dumps(subscription))
    time.sleep(1)  # the subscription has no answer
    yield connection
    connection.close()


def test_role_may_not_connect_to_the_shared_database(role):
    with pytest.raises(psycopg2.OperationalError, match="permission denied"):
        role.connect("postgres")


def test_server_starts_and_knows_its_database_is_there(odoo):
    assert "Could not determine" not in odoo.log.read_text()


def test_cron_wakes_by_notification(odoo, role, session_cookie):
    wait_until_crons_listen(role)
    cron = make_cron(odoo, "test.cron_ran")
    odoo.call("ir.cron", "write", [cron], {"nextcall": PAST})
    assert wait_for_parameter(odoo, "test.cron_ran"), "the cron did not wake within the time"


def test_bus_message_reaches_a_websocket(odoo, socket):
    server_action(odoo, "env['bus.bus']._sendone(env.user.partner_id, 'loomworks.test', {'text': 'hello'})")
    message = json.loads(socket.recv())[0]["message"]
    assert message == {"type": "loomworks.test", "payload": {"text": "hello"}}


def test_notifications_stay_in_the_tenants_database(odoo, role, server_url, session_cookie):
    with closing(listen(psycopg2.connect(server_url), "imbus", "cron_trigger")) as shared:
        with closing(listen(role.connect(), "imbus", "cron_trigger")) as own:
            odoo.call("ir.cron", "write", [make_cron(odoo, "test.quiet")], {"nextcall": PAST})
            assert heard(own, WAKE_TIMEOUT, role.name) == {"cron_trigger"}
        assert heard(shared, 1, role.name) == set()


def test_connections_that_listen_have_a_name_of_their_own(role, socket):
    with closing(role.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'odoo-%-channels'")
        assert cursor.fetchone() == (2,)  # the cron's and the bus'


def test_health_with_database_asks_its_own(odoo):
    assert json.loads(odoo.get("/web/health?db_server_status=1")) == {"status": "pass", "db_server_status": True}


def test_server_logged_no_error(odoo):
    assert odoo.errors() == []
