"""What looking at everything costs with 1,000 tenants: the sweep for orphans, and the look at the volumes.

An API server of its own holds their namespaces, claims, volumes and pods, the test database server their roles and
databases, an S3 server an object of each; rows are those of an Odoo in this process. Peers ask for each tenant's
objects one by one, of a part of them, in the same run. Each result is one JSON object a line in
``build/bench/orphans.jsonl``.
"""

import argparse
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from harness import engines

engines.register()

from addons.loomworks_storage.orphans import listing  # noqa: E402
from addons.loomworks_storage.orphans.compare import Known, orphans  # noqa: E402
from addons.loomworks_storage.volumes.survey import survey  # noqa: E402
from addons.loomworks_tenant.kube import names  # noqa: E402
from figures import Figures  # noqa: E402
from fleet import PER_NODE, SIZE, Fleet, now, role  # noqa: E402
from rows import Rows  # noqa: E402

PEER_SHARE = 10  # the peer asks for one tenant in so many
SAMPLES = 5
LEFT = 7  # tenants without a row, to be found


def timed(work, samples=SAMPLES):
    """Return what work gave, and the best of some times in seconds."""
    best = float("inf")
    for _sample in range(samples):
        begun = time.perf_counter()
        result = work()
        best = min(best, time.perf_counter() - begun)
    return result, best


class Bench:
    """The figures of one fleet."""

    def __init__(self, fleet, figures):
        self.fleet, self.figures = fleet, figures
        self.count = len(fleet.uuids)
        self.facts = {"tenants": self.count, "samples": SAMPLES}

    def run(self):
        """Measure everything."""
        self.fleet.measure_volumes(now())
        self.volumes()
        self.sweep()
        with Rows(self.fleet) as rows:
            self.rows(rows)

    def asked(self, work):
        """Return what work gave, its requests to the cluster, and its seconds."""
        self.fleet.kube.requests = 0
        result, seconds = timed(work)
        return result, self.fleet.kube.requests / SAMPLES, seconds

    def peer(self, *kinds):
        """Return the seconds of a GET for each object of some kinds of each tenant."""
        kube, some = self.fleet.kube, self.fleet.uuids[::PEER_SHARE]
        name_of = {
            "Namespace": names.namespace,
            "PersistentVolumeClaim": names.volume_claim,
            "Pod": lambda _one: "odoo-0",
        }

        def ask():
            for tenant in some:
                for kind in kinds:
                    kube.get(kind, name_of[kind](tenant), names.namespace(tenant))

        return timed(ask, 1)[1] * self.count / len(some)

    def volumes(self):
        """The look at the volumes, without rows."""
        found, requests, seconds = self.asked(lambda: survey(self.fleet.kube))
        assert len(found.usages) == self.count
        facts = {**self.facts, "nodes": len(self.fleet.kube.answers), "pods a node": PER_NODE}
        peer = self.peer("PersistentVolumeClaim", "Pod")
        asked = {**facts, "peer": "a GET for each claim and pod"}
        self.figures.add("volumes: requests", requests, "requests", requests / (2 * self.count), None, **asked)
        self.figures.add("volumes: lists and nodes", seconds, "s", seconds / peer, None, **asked)

    def sweep(self):
        """The sweep, without rows."""
        fleet, figures, facts = self.fleet, self.figures, self.facts
        in_cluster, requests, seconds = self.asked(lambda: list(listing.of_cluster(fleet.kube)))
        peer = self.peer("Namespace", "PersistentVolumeClaim")
        asked = {**facts, "peer": "a GET for each namespace and claim"}
        figures.add(
            "sweep: requests to the API server", requests, "requests", requests / (2 * self.count), None, **asked
        )
        figures.add("sweep: the cluster's lists", seconds, "s", seconds / peer, None, **asked)
        on_server, seconds = timed(lambda: list(listing.of_server(fleet.server)))
        figures.add("sweep: a database server, 2 queries", seconds, "s", None, None, **facts, found=len(on_server))
        in_bucket, seconds = timed(lambda: list(listing.of_bucket(fleet.store(fleet.uuids[0]))))
        figures.add("sweep: a bucket", seconds, "s", None, None, **facts, requests=-(-len(in_bucket) // 1000))
        seen = [*in_cluster, *on_server, *in_bucket]
        named = fleet.uuids[LEFT:]
        known = Known(tenants=frozenset(named), databases=frozenset(map(role, named)))
        found, seconds = timed(lambda: orphans(seen, known))
        assert {one.tenant for one in found} & set(fleet.uuids) == set(fleet.uuids[:LEFT]), "the wrong ones were found"
        figures.add("sweep: comparing", seconds, "s", None, None, **facts, objects=len(seen))

    def rows(self, rows):
        """Both as the crons do them, with rows of all tenants but some."""
        rows.make(self.fleet.uuids[LEFT:])
        self.counted(rows, "sweep: the whole, the first time", rows.sweep)
        self.counted(rows, "sweep: the whole, again", rows.sweep)
        assert rows.orphans() == set(self.fleet.uuids[:LEFT]), "the wrong ones were found"
        self.counted(rows, "volumes: the whole, the first time", rows.look)
        rows.remember(SIZE)
        self.fleet.measure_volumes(now())
        self.counted(rows, "volumes: the whole, with a forecast of each", rows.look)
        time.sleep(1)
        self.fleet.measure_volumes(now())
        self.counted(rows, "volumes: the whole, as every five minutes", rows.look)

    def counted(self, rows, name, work):
        """Measure one run, with its queries and requests."""
        self.fleet.kube.requests, queries = 0, rows.queries
        _none, seconds = timed(work, 1)
        facts = {"tenants": self.count, "queries": rows.queries - queries, "requests": self.fleet.kube.requests}
        self.figures.add(name, seconds, "s", None, None, **facts)


def main():
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tenants", type=int, default=1000)
    signal.signal(signal.SIGTERM, lambda *_signal: sys.exit("ended from outside"))  # and leave nothing
    fleet, begun = Fleet(parser.parse_args().tenants), time.perf_counter()
    try:
        fleet.make()
        print(f"made in {time.perf_counter() - begun:.0f} s", flush=True)
        Bench(fleet, Figures("orphans")).run()
    finally:
        fleet.take_away()
    print(f"{time.perf_counter() - begun:.0f} s in all", flush=True)


if __name__ == "__main__":
    main()
