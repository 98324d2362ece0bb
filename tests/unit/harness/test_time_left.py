"""A run that has to come to its end in time leaves out what has not begun, and says so."""

import os
import subprocess
import sys
import time

import pytest
from harness import closing, time_left

TESTS = """
import pytest

@pytest.fixture(scope="session")
def costly():
    open("made", "w").close()

def test_something(costly):
    pass
"""


@pytest.mark.parametrize(
    ("seconds", "line", "left_out"), [(60, "1 passed, 0 failed", 0), (-1, "0 passed, 0 failed, 1 skipped", 1)]
)
def test_what_has_not_begun_in_time_is_skipped_with_all_that_it_needs(tmp_path, seconds, line, left_out):
    (tmp_path / "test_x.py").write_text(TESTS)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}
    env[time_left.VARIABLE] = str(time.time() + seconds)
    command = [sys.executable, "-m", "pytest", "-p", time_left.__name__, "-p", "no:odoo", "--junit-xml=x.xml"]
    assert subprocess.run(command, cwd=tmp_path, env=env, check=False, capture_output=True).returncode == 0
    assert closing.line(tmp_path) == line
    assert closing.left_out(tmp_path) == ["x: test_x::test_something"] * left_out
    assert (tmp_path / "made").exists() == (not left_out)


def test_without_a_time_all_are_run(monkeypatch):
    monkeypatch.delenv(time_left.VARIABLE, raising=False)
    assert not time_left.is_over()
