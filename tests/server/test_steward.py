"""The steward on a real server with a real S3: asked by the provisioning role, killed, and with S3 away."""

import os
import re
import secrets
import shutil
import signal
from contextlib import ExitStack
from pathlib import Path

import psycopg2
import pytest
from botocore.exceptions import BotoCoreError, ClientError
from harness import engines
from harness.cell import BUCKET, Cell
from harness.s3_server import S3Server
from stack.settings import Settings
from stewards import Steward, wait_until

engines.register()

from addons.loomworks_snapshot.backup.expiry import expendable  # noqa: E402  (only importable once registered)
from addons.loomworks_snapshot.backup.health import problems  # noqa: E402
from addons.loomworks_snapshot.backup.schedule import Policy  # noqa: E402
from addons.loomworks_snapshot.backup.watch import Order, attend  # noqa: E402
from addons.loomworks_snapshot.backup.work import Repository  # noqa: E402
from addons.loomworks_tenant.errors import DatabaseRefused, ServerUnreachable  # noqa: E402
from addons.loomworks_tenant.postgres.server import DatabaseServer  # noqa: E402
from addons.loomworks_tenant.reconciler.spec import ServerSpec  # noqa: E402

BACKUPS = re.compile(r"pgbackrest/backup/main/(?P<label>\d{8}-\d{6}F[^/]*)/")
SEGMENTS = re.compile(r"pgbackrest/archive/main/17-1/\w+/(?P<segment>[0-9A-F]{24})")


@pytest.fixture(scope="module")
def cell():
    """A server whose repository is an S3 server of its own."""
    folder = Path(f"/tmp/loomworks-steward-{secrets.token_hex(4)}")
    settings = Settings.from_environment()
    s3 = S3Server(settings, folder / "s3")
    made = Cell(settings, folder, s3)
    with ExitStack() as ends:
        ends.callback(shutil.rmtree, folder, ignore_errors=True)
        ends.callback(s3.stop)
        s3.start()
        ends.callback(made.stop, signal.SIGQUIT)
        made.make()
        made.ask("ALTER ROLE postgres SET synchronous_commit = on")  # what the steward records survives a crash
        yield made


@pytest.fixture(scope="module")
def steward(cell):
    """A steward that has done its set-up: from the first test on there is one full backup."""
    steward = Steward(cell)
    steward.start()
    wait_until(lambda: steward.has_done("first_backup"))
    yield steward
    steward.stop()


@pytest.fixture
def repository(cell, steward):
    """The server's repository, as the control plane reaches it."""
    os.environ["LOOMWORKS_STEWARD_TEST"] = "the provisioner's"
    spec = ServerSpec("127.0.0.1", cell.port, "loomworks_provisioner", "env:LOOMWORKS_STEWARD_TEST", sslmode="disable")
    return Repository(DatabaseServer(spec))


def ended(repository, number):
    """Return a piece of work once it has ended, and the list of backups is newer than it."""

    def look():
        found = repository.look()
        work = next(one for one in found.work if one.id == number)
        return work if work.finished and (found.info_tried or 0) > work.finished else None

    return wait_until(look)


def do(repository, kind, argument=None):
    work = ended(repository, repository.ask(kind, argument))
    assert work.succeeded, work.message
    return work


def objects(cell):
    """Return every object of the repository by key."""
    pages = cell.s3.client().get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    return {item["Key"]: item["ETag"] for page in pages for item in page.get("Contents", ())}


def answers(s3):
    """Tell whether an S3 server that has just started reads its objects again."""
    try:
        return s3.client().get_object(Bucket=BUCKET, Key="pgbackrest/archive/main/archive.info")
    except (BotoCoreError, ClientError):
        return None


# --- what is recorded ------------------------------------------------------------------------------


def test_first_backup_is_made_and_recorded_without_being_asked_for(repository):
    look = wait_until(lambda: (found := repository.look()).backups and found)
    (backup,) = look.backups
    (work,) = look.work
    assert (work.kind, work.succeeded, work.label) == ("full", True, backup.label)
    assert backup.lsn_start < backup.lsn_stop <= look.lsn
    assert (backup.timeline, backup.system_identifier) == (look.timeline, look.system_identifier)
    size = wait_until(lambda: (found := repository.look()).archive_bytes and found)
    assert size.backup_bytes > backup.repository_size > 0


def test_fit_server_has_no_problem_and_wants_nothing(repository):
    assert problems(attend(repository, Order(Policy())), Policy()) == [
        "fsync is off, and restoring one tenant needs on: set fsync = on"
    ]
    assert len(repository.look().work) == 1


def test_incremental_backup_builds_on_the_one_before(repository):
    work = do(repository, "incr")
    first, second = repository.look().backups
    assert (second.label, second.prior, second.kind) == (work.label, first.label, "incr")
    assert second.lsn_start > first.lsn_stop
    assert second.repository_size > second.repository_delta
    assert len(repository.look().archive.last_archived_wal) == 24  # a backup's history file is archived after it
    assert expendable([first, second], second.stopped + 1, []) == []


def test_check_and_verify_say_that_all_is_well(repository):
    do(repository, "check")
    assert "status: ok" in do(repository, "verify").message


def test_asking_twice_for_what_is_pending_is_asking_once(cell, steward, repository):
    steward.stop()
    first = repository.ask("check")
    assert repository.ask("check") is None
    steward.start()
    assert ended(repository, first).succeeded


# --- what the provisioning role may do --------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "argument"),
    [
        ("expire", None),
        ("expire", "latest"),
        ("expire", "20261121-161903F; rm"),
        ("full", "20261121-161903F"),
        ("x", None),
    ],
)
def test_only_known_work_can_be_asked_for(repository, kind, argument):
    with pytest.raises(DatabaseRefused, match="check constraint"):
        repository.ask(kind, argument)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO loomworks.repository_work (kind, started_at) VALUES ('full', now())",
        "UPDATE loomworks.repository_work SET exit_code = 0",
        "DELETE FROM loomworks.repository_work",
        "UPDATE loomworks.repository_info SET info = '[]'",
    ],
)
def test_provisioning_role_cannot_write_what_only_the_steward_knows(repository, statement):
    with pytest.raises(DatabaseRefused, match="permission denied"), repository._server.connect() as cr:
        cr.execute(statement)


def test_provisioning_role_makes_restore_points(repository):
    with repository._server.connect() as cr:
        cr.execute("SELECT pg_create_restore_point('probe') AS lsn, pg_walfile_name(pg_switch_wal()) AS segment")
        segment = cr.fetchone()["segment"]
    wait_until(lambda: repository.look().archive.last_archived_wal >= segment)


def test_other_roles_see_nothing_of_it(cell, steward):
    address = {"host": "127.0.0.1", "port": cell.port, "user": "loomworks_control", "dbname": "postgres"}
    connection = psycopg2.connect(**address)
    with connection.cursor() as cr, pytest.raises(psycopg2.errors.InsufficientPrivilege):
        cr.execute("SELECT FROM loomworks.repository_work")
    connection.close()


def test_server_of_an_older_image_is_named_as_such(cell, steward, repository):
    cell.ask("ALTER SCHEMA loomworks RENAME TO elsewhere")
    try:
        with pytest.raises(DatabaseRefused, match="image must be this release's"):
            repository.look()
    finally:
        cell.ask("ALTER SCHEMA elsewhere RENAME TO loomworks")


def test_server_that_is_down_is_unreachable():
    spec = ServerSpec("127.0.0.1", 1, "loomworks_provisioner", "env:LOOMWORKS_STEWARD_TEST", sslmode="disable")
    with pytest.raises(ServerUnreachable):
        Repository(DatabaseServer(spec)).look()


# --- bad luck --------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_backup_of_a_steward_that_ended_has_failed_and_the_next_one_succeeds(steward, repository, how):
    number = repository.ask("full")
    wait_until(lambda: repository.look().work[-1].started)
    before = {backup.label for backup in repository.look().backups}
    code = steward.stop(how)
    assert code == (0 if how == signal.SIGTERM else -how)
    steward.start()
    work = ended(repository, number)
    assert (work.failed, work.exit_code) == (True, -1)
    assert work.message.startswith("interrupted")
    assert {backup.label for backup in repository.look().backups} >= before
    assert do(repository, "full").label not in before


def test_server_that_crashes_during_a_backup_leaves_a_failure_that_says_so(cell, steward, repository):
    number = repository.ask("full")
    wait_until(lambda: repository.look().work[-1].started)
    cell.stop(signal.SIGQUIT)
    cell.start()
    work = ended(repository, number)
    assert work.failed
    assert "ERROR" in work.message
    do(repository, "incr")


def test_repository_that_is_away_fails_the_work_and_holds_up_the_archive_until_it_is_back(cell, steward, repository):
    """Also of a steward that starts meanwhile: what it sets up waits, and what it is asked for is answered."""
    known = repository.look()
    steward.stop()
    cell.s3.stop()
    steward.start()
    try:
        number = repository.ask("check")
        cell.ask("SELECT pg_create_restore_point('waiting'), pg_switch_wal()")
        work = ended(repository, number)
        away = repository.look()
    finally:
        cell.s3.start()
    assert work.failed
    assert "HostConnectError" in work.message
    assert away.archive.lag_bytes > 0
    assert away.unarchived_seconds >= away.archive.lag_seconds > 0
    assert "HostConnectError" in away.info_error
    assert away.backups == known.backups
    said = "\n".join(problems(away, Policy()))
    assert "the repository cannot be read" in said
    assert "check failed the last time" in said
    wait_until(lambda: answers(cell.s3))
    cell.ask("SELECT pg_create_restore_point('again'), pg_switch_wal()")
    do(repository, "check")
    back = wait_until(lambda: (found := repository.look()).archive.lag_bytes == 0 and found)
    assert (back.archive.lag_seconds, back.info_error) == (0, "")


def test_what_is_in_the_open_segment_would_be_lost_with_the_server(cell, repository):
    cell.ask("SELECT pg_create_restore_point('before'), pg_switch_wal()")
    wait_until(lambda: repository.look().archive.lag_bytes == 0)
    cell.ask("SELECT pg_create_restore_point('in the open one')")
    first = repository.look()
    second = wait_until(lambda: (found := repository.look()).now > first.now + 1 and found)
    assert 0 < first.unarchived_seconds < second.unarchived_seconds
    assert second.archive.lag_seconds == 0


def test_expiry_removes_a_set_and_its_wal_and_nothing_else(cell, repository):
    do(repository, "full")
    do(repository, "incr")
    oldest, *_rest, _incr = repository.look().backups
    before = objects(cell)
    work = do(repository, "expire", oldest.label)
    after = objects(cell)
    left = repository.look().backups
    assert oldest.label in work.message
    assert oldest.set_label not in {backup.set_label for backup in left}
    gone = before.keys() - after.keys()
    first = min(backup.wal_start for backup in left)
    expected = {key for key in before if (match := BACKUPS.match(key)) and match["label"].startswith(oldest.label)}
    expected |= {key for key in before if (match := SEGMENTS.match(key)) and match["segment"] < first}
    assert gone == expected
    assert {key for key in gone if SEGMENTS.match(key)}
    kept = {key: tag for key, tag in before.items() if key not in gone and not key.endswith((".info", ".info.copy"))}
    assert kept.items() <= after.items()


def test_expiry_of_one_in_the_middle_removes_no_wal(cell, repository):
    do(repository, "full")
    fulls = [backup for backup in repository.look().backups if backup.kind == "full"]
    before = {key for key in objects(cell) if SEGMENTS.match(key)}
    do(repository, "expire", fulls[1].label)
    assert before <= objects(cell).keys()


def test_last_full_backup_is_refused(repository):
    *others, last = [backup for backup in repository.look().backups if backup.kind == "full"]
    for backup in others:
        do(repository, "expire", backup.label)
    work = ended(repository, repository.ask("expire", last.label))
    assert (work.failed, work.message) == (True, f"{last.label} is the last full backup, so it stays")
    assert [backup.label for backup in repository.look().backups] == [last.label]


def test_expiring_what_is_not_there_changes_nothing(cell, repository):
    before = objects(cell)
    do(repository, "expire", "20200101-000000F")
    assert objects(cell).keys() == before.keys()


def test_verify_finds_an_object_that_is_gone(cell, repository):
    key = max(key for key in objects(cell) if BACKUPS.match(key) and "/bundle/" in key)
    cell.s3.client().delete_object(Bucket=BUCKET, Key=key)
    work = ended(repository, repository.ask("verify"))
    assert work.failed
    assert "status: invalid" in work.message
    assert any(problem.startswith("verify failed") for problem in problems(repository.look(), Policy()))
