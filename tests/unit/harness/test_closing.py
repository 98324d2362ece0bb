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
