"""The stack goes down without a trace and comes up from any wreck; this takes it down, so it runs alone.

Run by `make test-long`, or: PYTHONPATH=infrastructure/dev pytest tests/long/test_stack_life.py
"""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import requests
from stack import leftovers, runtime, supervisor
from stack.settings import Settings

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]

SYSCTLS = ("net/ipv4/ip_forward", "vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops")


@pytest.fixture(scope="module")
def settings():
    """The stack of this checkout, which is up again at the end."""
    found = Settings.from_environment()
    make(found, "up")
    yield found
    make(found, "up")


def make(settings, target, **environment):
    command = ["make", "-C", settings.repository, target]
    return subprocess.run(
        command, env={**unset(), **environment}, text=True, capture_output=True, check=not environment
    )


def unset():
    """This process's environment without what build/dev/env sets: to another checkout it is an existing cluster."""
    return {name: value for name, value in os.environ.items() if name != "KUBECONFIG"}


def machine():
    """What of the machine the stack could have changed."""

    def lines(*command):
        done = subprocess.run(command, text=True, capture_output=True, check=False)
        return sorted(done.stdout.splitlines())

    return {
        "links": [line.split()[0] for line in lines("ip", "-brief", "link")],
        "addresses": [line.split()[:1] + line.split()[2:] for line in lines("ip", "-brief", "-4", "address")],
        "routes": lines("ip", "route"),
        "tables": lines("nft", "list", "tables"),
        "loop devices": lines("losetup", "--list", "--noheadings", "--output", "NAME,BACK-FILE"),
        "mounts": lines("findmnt", "--list", "--noheadings", "--output", "TARGET"),
        "namespaces": lines("ip", "netns"),
        "groups": sorted(str(path) for path in runtime.CGROUPS.glob("*")) + lines("ls", "/sys/fs/cgroup/pids"),
        "run": sorted(path.name for path in Path("/run").iterdir()),
        "temporary": sorted(path.name for path in Path("/tmp").glob("seaweedfs*")),
        "sysctls": [Path("/proc/sys", name).read_text() for name in SYSCTLS],
    }


def answers(settings):
    url = f"http://127.0.0.1:{settings.edge_port}/web/login"
    return requests.get(url, headers={"Host": "localhost"}, timeout=30).status_code == requests.codes.ok


def test_down_leaves_the_machine_as_it_was(settings):
    make(settings, "down")
    before = machine()
    make(settings, "up")
    assert machine() != before
    assert answers(settings)
    make(settings, "down")
    assert machine() == before
    assert leftovers.traces(settings) == []


def test_second_down_has_nothing_to_do(settings):
    make(settings, "down")
    began = time.monotonic()
    make(settings, "down")
    assert time.monotonic() - began < 5


def test_second_up_is_quick_and_starts_nothing_anew(settings):
    make(settings, "up")
    before = runtime.processes()
    began = time.monotonic()
    make(settings, "up")
    assert time.monotonic() - began < 20
    assert supervisor.pid(settings) in before


def test_up_after_the_supervisor_was_killed(settings):
    make(settings, "up")
    os.kill(supervisor.pid(settings), signal.SIGKILL)
    make(settings, "up")
    assert answers(settings)


def test_up_after_everything_was_killed(settings):
    make(settings, "up")
    while pids := runtime.processes():
        for pid in pids:
            subprocess.run(["kill", "-9", str(pid)], capture_output=True, check=False)
    make(settings, "up")
    assert answers(settings)


def test_up_refuses_beside_another_checkouts_living_stack(settings, tmp_path):
    make(settings, "up")
    done = make(settings, "up", LOOMWORKS_STATE=str(tmp_path / "build" / "dev"))
    assert done.returncode != 0
    assert f"another stack runs on this machine, in {settings.state}" in done.stderr
    assert answers(settings)


def test_up_removes_what_another_checkouts_dead_stack_left(settings, tmp_path):
    other = tmp_path / "other"
    make(settings, "down")
    subprocess.run(["git", "clone", "--quiet", settings.repository, other], check=True)
    subprocess.run(["make", "-C", other, "up"], check=True, capture_output=True, env=unset())
    while pids := runtime.processes():
        for pid in pids:
            subprocess.run(["kill", "-9", str(pid)], capture_output=True, check=False)
    shutil.rmtree(other)
    make(settings, "up")
    assert answers(settings)
