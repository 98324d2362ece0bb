"""A person at the stack: Chromium, driven by Playwright, with pictures kept in build/test/pictures."""

import json
import os
import re
import secrets
import shlex
import time
import urllib.request
from functools import partial
from pathlib import Path

import pytest
from harness import cluster
from playwright.sync_api import Error, sync_playwright

REPOSITORY = Path(__file__).resolve().parents[2]
ENV_FILE = Path(os.environ.get("LOOMWORKS_STATE") or REPOSITORY / "build" / "dev") / "env"
PICTURES = REPOSITORY / "build" / "test" / "pictures"
# Chromium looks for its maker's hosts at every start unless it is told not to.
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 120_000  # milliseconds
TRIES = 5


def pytest_collection_modifyitems(items):
    """Everything here needs the cluster."""
    for item in items:
        item.add_marker("cluster")


@pytest.fixture(scope="session")
def stack():
    """What ``make up`` wrote for scripts."""
    if not ENV_FILE.exists():
        pytest.fail("the stack is not up: run `make up` first")
    found = (re.match(r"^export (\w+)=(.*)$", line) for line in ENV_FILE.read_text().splitlines())
    return {match[1]: shlex.split(match[2])[0] for match in found if match}


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=QUIET)
        yield browser
        browser.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Let the window's fixture know whether its test failed."""
    report = yield
    if report.when == "call":
        item.failed_in_browser = report.failed
    return report


def patiently(goto):
    """Go there once more where Chromium gave up because an interface of this machine, a pod's, came or went."""

    def go(url, **options):
        for _try in range(TRIES):
            try:
                return goto(url, **options)
            except Error as error:
                if "ERR_NETWORK_CHANGED" not in error.message:
                    raise
        return goto(url, **options)

    return go


@pytest.fixture
def page(browser, request):
    """A fresh window; errors on its console fail the test. What a failed test last saw is kept as a picture."""
    context = browser.new_context(viewport={"width": 1300, "height": 900})
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto = patiently(page.goto)
    yield page
    if getattr(request.node, "failed_in_browser", False):
        PICTURES.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=PICTURES / f"failed-{request.node.name}.png")
    context.close()
    assert not errors, errors


@pytest.fixture
def picture(page):
    """Keep a picture of the page under a name."""
    PICTURES.mkdir(parents=True, exist_ok=True)

    def take(name):
        page.wait_for_timeout(500)  # let pictures and fonts settle
        page.screenshot(path=PICTURES / f"{name}.png")

    return take


@pytest.fixture
def log_in(page, stack):
    """Log in to the control plane as its operator."""

    def log_in():
        page.goto(f"{stack['LOOMWORKS_URL']}/web/login")
        page.fill("input[name=login]", stack["LOOMWORKS_LOGIN"])
        page.fill("input[name=password]", stack["LOOMWORKS_PASSWORD"])
        page.click("button[type=submit]")
        page.wait_for_selector(".o_main_navbar")

    return log_in


@pytest.fixture
def call(stack):
    """Call a method of the control plane by JSON-2."""

    def call(model, method, **arguments):
        headers = {"Authorization": f"bearer {stack['LOOMWORKS_API_KEY']}", "Content-Type": "application/json"}
        url = f"{stack['LOOMWORKS_URL']}/json/2/{model}/{method}"
        request = urllib.request.Request(url, json.dumps(arguments).encode(), headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    return call


@pytest.fixture
def kubectl(stack):
    """Run kubectl as the cluster's administrator."""
    return partial(cluster.kubectl, stack)


@pytest.fixture
def in_pod(call, stack):
    """Run a command in a tenant's Odoo."""

    def run(number, *command):
        home = f"lw-{call('loomworks.tenant', 'read', ids=[number], fields=['uuid'])[0]['uuid']}"
        return cluster.in_odoo(stack, home, *command)

    return run


@pytest.fixture
def tenant(call):
    """A tenant that serves; erased in the end. Its row's id and name."""
    subdomain = f"ui-{secrets.token_hex(4)}"
    (plan,) = call("loomworks.plan", "search", domain=[["code", "=", "basic"]])
    values = {"name": subdomain.title(), "subdomain": subdomain, "plan_id": plan}
    (number,) = call("loomworks.tenant", "create", vals_list=[values])
    call("loomworks.tenant", "action_provision", ids=[number])
    end = time.monotonic() + 150
    while call("loomworks.tenant", "read", ids=[number], fields=["state"])[0]["state"] != "active":
        assert time.monotonic() < end
        time.sleep(0.3)
    yield number, values["name"]
    call("loomworks.tenant", "action_archive", ids=[number], reason="the test is over")
    call("loomworks.tenant", "action_erase", ids=[number], confirm_name=values["name"], reason="the test is over")
