"""What people wait for, on the running stack: snapshots from request to ready, and the swap at the end of a restore.

Snapshots are asked for by JSON-2, one after the other and a hundred at once, of a few tenants on one database server;
"ready" is the product's own time from the request to the proof (``ready_seconds``). Restores are put in place while
somebody asks for the tenant's page all the time: the longest gap between two answers is how long users are held. Adds
to ``build/bench/restore.jsonl``.
"""

import argparse
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "tests"))
sys.path.insert(0, str(REPOSITORY / "tests" / "e2e"))

import conftest as e2e  # noqa: E402  (registers the engines)
from figures import Figures  # noqa: E402
from test_restore import watched  # noqa: E402

TENANTS = 4
PATIENCE = 300  # seconds
AT_ONCE = 16  # calls


def main():
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequence", type=int, default=20)
    parser.add_argument("--many", type=int, default=100)
    parser.add_argument("--restores", type=int, default=10)
    options = parser.parse_args()
    figures = Figures("restore")
    stack = e2e.read_env()
    call = e2e.Json2(stack["LOOMWORKS_URL"], stack["LOOMWORKS_API_KEY"])
    tenants = e2e.tenant_maker(call, stack)
    made = next(tenants)
    try:
        some = [made() for _number in range(TENANTS)]
        for tenant in some:
            tenant.wait_settled("active")
        ready(call, some[0].act("action_create_snapshot"))  # the first one may wait for a base backup
        snapshots(figures, call, some, options)
        swaps(figures, call, some[0], options.restores)
    finally:
        tenants.close()


def snapshots(figures, call, tenants, options):
    """Time snapshots, one after the other and many at once."""
    one = [ready(call, tenants[0].act("action_create_snapshot"))[0] for _number in range(options.sequence)]
    quantiles(figures, "snapshot, one", one, 1.0)
    calls = [tenants[number % TENANTS] for number in range(options.many)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        rows = [row for rows in pool.map(lambda one: one.act("action_create_snapshot"), calls) for row in rows]
    quantiles(figures, f"snapshot, {options.many} at once", ready(call, rows), 10.0)


def ready(call, rows):
    """Wait until snapshots are ready; return the seconds that each took."""
    end = time.monotonic() + PATIENCE
    while True:
        found = call("loomworks.snapshot", "read", ids=rows, fields=["state", "ready_seconds"])
        if all(one["state"] == "ready" for one in found):
            return [one["ready_seconds"] for one in found]
        if time.monotonic() > end:
            raise TimeoutError(found)
        time.sleep(0.1)


def swaps(figures, call, tenant, count):
    """Restore a tenant several times, and take note of how long its users were held."""
    (snapshot,) = tenant.act("action_create_snapshot")
    ready(call, [snapshot])
    gaps, seconds = [], []
    for _number in range(count):
        began = time.monotonic()
        with watched(tenant) as found:
            restored(call, call("loomworks.snapshot", "action_restore", ids=[snapshot]))
        gaps.append(max(found.gaps))
        seconds.append(time.monotonic() - began)
    quantiles(figures, "users held at the swap", gaps, 3.0)
    quantiles(figures, "restore of a new tenant, asked for to done", seconds, None)


def restored(call, row):
    """Wait for the end of a restore."""
    end = time.monotonic() + PATIENCE
    while (found := call("loomworks.restore", "read", ids=[row], fields=["state", "error_message"])[0])[
        "state"
    ] != "done":
        if time.monotonic() > end or found["state"] == "failed":
            raise TimeoutError(found)
        time.sleep(0.2)


def quantiles(figures, name, values, goal):
    """Write p50 and p95; the ratio is to the goal."""
    for share in (50, 95):
        value = statistics.quantiles(values, n=100, method="inclusive")[share - 1]
        figures.add(f"{name}, p{share}", value, "s", goal and value / goal, goal, number=len(values))


if __name__ == "__main__":
    main()
