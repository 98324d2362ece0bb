"""The closing line counts every test once."""

import pytest
from harness import closing

CASES = {
    "passed": "<testcase name='a'/>",
    "failed": "<testcase name='b'><failure/></testcase>",
    "error": "<testcase name='c'><error/></testcase>",
    "skipped": "<testcase name='d'><skipped/></testcase>",
}


def report(folder, name, *cases):
    body = "".join(CASES[case] for case in cases)
    (folder / f"{name}.xml").write_text(f"<testsuites><testsuite>{body}</testsuite></testsuites>")


@pytest.mark.parametrize(
    ("suites", "expected"),
    [
        ([], "0 passed, 0 failed"),
        ([("passed", "passed")], "2 passed, 0 failed"),
        ([("passed", "failed"), ("passed", "error")], "2 passed, 2 failed"),
        ([("passed", "skipped"), ("skipped",)], "1 passed, 0 failed, 2 skipped"),
    ],
)
def test_line_adds_up_all_suites(tmp_path, suites, expected):
    for number, cases in enumerate(suites):
        report(tmp_path, f"suite{number}", *cases)
    assert closing.line(tmp_path) == expected


def test_failure_at_teardown_of_a_test_that_passed_counts_as_failed(tmp_path):
    body = "<testcase name='a'><error message='failed on teardown'/></testcase>"
    (tmp_path / "unit.xml").write_text(f"<testsuites><testsuite>{body}</testsuite></testsuites>")
    assert closing.line(tmp_path) == "0 passed, 1 failed"


def test_run_that_died_without_a_report_counts_as_failed(tmp_path):
    closing.record_death(tmp_path, "browser", 137)
    assert closing.line(tmp_path) == "0 passed, 1 failed"


def test_a_failed_test_is_named_with_how_it_ended(tmp_path):
    lines = "".join(f"line {number}\n" for number in range(100))
    failed = f"<testcase classname='tests.e2e.test_life' name='test_a'><failure>{lines}E  wrong</failure></testcase>"
    body = f"{failed}<testcase name='fine'/>"
    (tmp_path / "life.xml").write_text(f"<testsuites><testsuite>{body}</testsuite></testsuites>")
    told = closing.failures(tmp_path)
    assert "FAILED life: tests.e2e.test_life::test_a" in told
    assert told.endswith("line 99\nE  wrong")
    assert "line 0\n" not in told
    assert "fine" not in told


def test_nothing_is_told_where_all_passed(tmp_path):
    report(tmp_path, "unit", "passed", "skipped")
    assert closing.failures(tmp_path) == ""


def test_what_could_not_be_collected_is_told(tmp_path):
    closing.record_death(tmp_path, "browser", 137)
    assert "pytest ended with 137 and left no report" in closing.failures(tmp_path)
