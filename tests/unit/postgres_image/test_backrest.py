"""What pgBackRest's output means, on what version 2.55 really wrote."""

import json
import stat

import pytest
from steward.backrest import Backrest, Outcome, RepositoryError, fulls, read_info, shortened

UNREACHABLE = "[HostConnectError] unable to connect to '127.0.0.1:1': [111] Connection refused"
VERIFIED = """stanza: main
status: {stanza}
  archiveId: 17-1, total WAL checked: 6, total valid WAL: 6
    missing: 0, checksum invalid: 0, size invalid: 0, other: 0
"""
VERIFIED_BACKUP = """  backup: 20261121-{number:06}F, status: {backup}, total files checked: 9, total valid files: 9
    missing: 0, checksum invalid: 0, size invalid: 0, other: 0
"""


def stanza(*labels, code=0):
    backups = [{"label": label, "type": "full" if label.endswith("F") else "incr"} for label in labels]
    return {"backup": backups, "repo": [{"status": {"code": code, "message": UNREACHABLE if code else "ok"}}]}


@pytest.fixture
def program(tmp_path):
    """Make a program that says what it is told to, notes its arguments, and ends with an exit code."""
    path = tmp_path / "pgbackrest"

    def write(text="", code=0, info=()):
        (tmp_path / "text").write_text(text)
        (tmp_path / "info").write_text(json.dumps(list(info)))
        script = f'echo "$@" >> {tmp_path}/calls\ncase "$*" in *info) cat {tmp_path}/info; exit 0;; esac'
        path.write_text(f"#!/bin/sh\n{script}\ncat {tmp_path}/text\nexit {code}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return Backrest(str(path))

    write.calls = lambda: (tmp_path / "calls").read_text().splitlines()
    return write


def test_backup_tells_its_label_and_its_last_lines(program):
    text = (
        "2026-11-21 16:12:16.067 P00   INFO: backup command begin 2.55.1: --repo1-cipher-pass=<redacted>\n"
        "2026-11-21 16:12:17.741 P00   INFO: new backup label = 20261121-161216F\n"
    )
    assert program(text).backup("full") == Outcome(0, "new backup label = 20261121-161216F", "20261121-161216F")


def test_failure_keeps_exit_code_and_message(program):
    outcome = program("ERROR: [082]: unable to push", code=82).check()
    assert outcome == Outcome(82, "ERROR: [082]: unable to push")


def test_repository_that_cannot_be_read_is_an_error_though_pgbackrest_ends_with_0():
    with pytest.raises(RepositoryError, match="Connection refused"):
        read_info(json.dumps([stanza(code=99)]))


@pytest.mark.parametrize("text", ["", "ERROR: [037]: info command requires option: repo"])
def test_what_is_no_json_is_an_error(text):
    with pytest.raises(RepositoryError):
        read_info(text)


@pytest.mark.parametrize(
    ("stanza_says", "backup_says", "code"), [("ok", "valid", 0), ("error", "invalid", 1), ("ok", "invalid", 1)]
)
def test_verify_fails_by_its_text_though_pgbackrest_ends_with_0(program, stanza_says, backup_says, code):
    head = VERIFIED.format(stanza=stanza_says)
    last = VERIFIED_BACKUP.format(number=161903, backup=backup_says)
    told = head if backup_says == "valid" else head + last
    assert program(head + last).verify() == Outcome(code, told.strip())


@pytest.mark.parametrize("invalid", [0, 59])
def test_verify_of_many_backups_tells_the_one_that_is_invalid(program, invalid):
    said = [VERIFIED_BACKUP.format(number=one, backup="valid") for one in range(60)]
    assert program(VERIFIED.format(stanza="ok") + "".join(said)).verify().exit_code == 0
    said[invalid] = said[invalid].replace("status: valid", "status: invalid")
    outcome = program(VERIFIED.format(stanza="ok") + "".join(said)).verify()
    assert outcome.exit_code == 1
    assert outcome.message.startswith("stanza: main")
    assert outcome.message.count("backup: ") == 1
    assert f"20261121-{invalid:06}F" in outcome.message


def test_expire_keeps_the_wal_of_exactly_the_full_backups_that_are_left(program):
    info = [stanza("20261101-000000F", "20261101-000000F_20261102-000000I", "20261108-000000F", "20261115-000000F")]
    assert program("", info=info).expire("20261101-000000F").exit_code == 0
    assert "--set=20261101-000000F --repo1-retention-archive=2 --log-level-console=info expire" in program.calls()[-1]


def test_expire_of_an_incremental_backup_leaves_the_wal_of_all_full_ones(program):
    info = [stanza("20261101-000000F", "20261101-000000F_20261102-000000I", "20261108-000000F")]
    program("", info=info).expire("20261101-000000F_20261102-000000I")
    assert "--repo1-retention-archive=2" in program.calls()[-1]


def test_last_full_backup_is_never_expired(program):
    outcome = program("", info=[stanza("20261101-000000F")]).expire("20261101-000000F")
    assert outcome.exit_code == 2
    assert "last full backup" in outcome.message
    assert all("expire" not in call for call in program.calls())


def test_expire_does_nothing_while_the_repository_cannot_be_read(program):
    with pytest.raises(RepositoryError):
        program("", info=[stanza(code=99)]).expire("20261101-000000F")


def test_full_backups_are_told_from_the_others():
    assert fulls([stanza("20261101-000000F", "20261101-000000F_20261102-000000I")]) == {"20261101-000000F"}


def test_message_keeps_the_last_lines():
    message = shortened("\n".join(f"line {number}" for number in range(2000)))
    assert message.endswith("line 1999")
    assert len(message) <= 4000
