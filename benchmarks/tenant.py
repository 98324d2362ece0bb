"""From ``action_provision`` to the login page answering, against a bare script in the same run.

The floor does by hand what a tenant needs and nothing more: clone the template, hand it over, make a volume and a pod,
wait for /web/login. Same image, template, probes and sizes. Each result is one JSON object a line in
``build/bench/tenant.jsonl``: name, value, unit, ratio (to the floor), goal. Time and memory of ``make up`` come first.
"""

import argparse
import contextlib
import dataclasses
import statistics
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "tests"))
sys.path.insert(0, str(REPOSITORY / "tests" / "e2e"))

import conftest as e2e  # noqa: E402  (registers the engines)
import requests  # noqa: E402
import up  # noqa: E402
from addons.loomworks_storage.reconciler import steps as storage  # noqa: E402, F401
from addons.loomworks_tenant.kube import manifests, names, odoo_conf  # noqa: E402
from addons.loomworks_tenant.reconciler.spec import (  # noqa: E402
    ClusterSpec,
    Goal,
    Resources,
    TenantSpec,
    VolumeSpec,
)
from figures import Figures  # noqa: E402

LOOK = 0.05  # seconds between two looks, of the floor and of the product alike
PATIENCE = 300  # seconds
GOAL = 1.3


class Bench:
    """The stack, and both ways to make a tenant on it."""

    def __init__(self):
        self.stack = e2e.read_env()
        self.call = e2e.Json2(self.stack["LOOMWORKS_URL"], self.stack["LOOMWORKS_API_KEY"])
        self.kube = e2e.KubeClient(f"file:{self.stack['KUBECONFIG']}")
        self.server = e2e.provisioning_server(self.kube)
        self.cluster = self.call("loomworks.cluster", "search_read", domain=[], fields=[])[0]
        ready = [["plan_id.code", "=", "basic"], ["state", "=", "ready"]]
        self.template = self.call("loomworks.template", "search_read", domain=ready, fields=[])[0]
        self.plan = self.call("loomworks.plan", "search_read", domain=[["code", "=", "basic"]], fields=[])[0]

    @staticmethod
    def answers(server, host):
        """Wait until the login page of ``host`` answers at ``server``."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            with contextlib.suppress(requests.RequestException):
                page = requests.get(f"http://{server}/web/login", headers={"Host": host}, timeout=30)
                if page.status_code == 200:
                    return
            time.sleep(LOOK)
        raise TimeoutError(host)

    def product(self):
        """Create a tenant with the product; return the seconds from action_provision, and how to remove it."""
        subdomain = f"bench-{uuid.uuid4().hex[:8]}"
        values = {"name": subdomain, "subdomain": subdomain, "plan_id": self.plan["id"]}
        tenant = self.call("loomworks.tenant", "create", vals_list=[values])[0]
        began = time.monotonic()
        self.call("loomworks.tenant", "action_provision", ids=[tenant])
        self.answers(self.stack["LOOMWORKS_EDGE"], f"{subdomain}.{self.stack['LOOMWORKS_DOMAIN']}")
        seconds = time.monotonic() - began
        return seconds, lambda: self.remove_product(tenant, subdomain)

    def remove_product(self, tenant, name):
        """Erase a tenant of the product and wait for it."""
        self.call("loomworks.tenant", "action_archive", ids=[tenant])
        self.call("loomworks.tenant", "action_erase", ids=[tenant], confirm_name=name, reason="it is measured")
        while not self.call("loomworks.tenant", "read", ids=[tenant], fields=["erased_at"])[0]["erased_at"]:
            time.sleep(0.5)

    def floor(self):
        """Make the same by hand; return the seconds, and how to remove it."""
        spec = self.spec()
        password = uuid.uuid4().hex
        began = time.monotonic()
        self.kube.apply(manifests.namespace(spec))
        self.kube.apply(manifests.volume_claim(spec))
        self.server.ensure_role(spec.role, password, 16)
        self.server.ensure_database(spec.database, spec.template_database, spec.role)
        config = manifests.secret(spec, names.CONFIG_SECRET, {"odoo.conf": odoo_conf.render(spec, password)})
        for manifest in (config, manifests.service(spec), manifests.deployment(spec, "bench")):
            self.kube.apply(manifest)
        self.login_page_of(spec)
        return time.monotonic() - began, lambda: self.remove_floor(spec)

    def login_page_of(self, spec):
        """Wait for the pod to run and for its login page, by the Service's address."""
        namespace = names.namespace(spec.uuid)
        address = self.kube.get("Service", names.ODOO, namespace)["spec"]["clusterIP"]
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            pods = list(self.kube.list("Pod", namespace, label_selector=names.selector(spec.uuid)))
            if any(pod.get("status", {}).get("phase") == "Running" for pod in pods):
                return self.answers(f"{address}:{names.HTTP_PORT}", names.ODOO)
            time.sleep(LOOK)
        raise TimeoutError(spec.uuid)

    def remove_floor(self, spec):
        """Remove what the floor has made."""
        self.kube.delete("Namespace", names.namespace(spec.uuid))
        while self.kube.get("Namespace", names.namespace(spec.uuid)):
            time.sleep(0.5)
        self.server.drop_database(spec.database)
        self.server.drop_role(spec.role)

    def spec(self):
        """The floor's tenant: the same sizes as the plan's."""
        number = str(uuid.uuid4())
        fields = [field.name for field in dataclasses.fields(ClusterSpec) if field.name in self.cluster]
        plan, cluster = self.plan, self.cluster
        return TenantSpec(
            uuid=number,
            name="floor",
            subdomain=f"floor-{number[:8]}",
            database="t_" + number.replace("-", ""),
            goal=Goal.ACTIVE,
            cluster=ClusterSpec(**{name: cluster[name] for name in fields}),
            server=dataclasses.replace(self.server.spec, host="postgres.loomworks.svc.cluster.local"),
            resources=Resources(
                cluster["cpu_request"] or plan["cpu_request"],
                plan["cpu_limit"],
                cluster["memory_request"] or plan["memory_request"],
                plan["memory_limit"],
            ),
            template_database=self.template["database_name"],
            admin_login="admin",
            admin_name="floor",
            connection_limit=plan["connection_limit"],
            volume=VolumeSpec(
                names.volume_claim(number),
                plan["volume_size"],
                cluster["storage_class"] or "",
                plan["access_mode"],
                plan["mount_path"],
            ),
        )


def in_sequence(make, count):
    """Time ``count`` tenants one after the other, each removed before the next."""
    seconds = []
    for _number in range(count):
        took, remove = make()
        remove()
        seconds.append(took)
    return seconds


def at_once(make, count):
    """Time ``count`` tenants begun together."""
    with ThreadPoolExecutor(count) as pool:
        results = [future.result() for future in [pool.submit(make) for _number in range(count)]]
        list(pool.map(lambda result: result[1](), results))
    return [seconds for seconds, _remove in results]


def percentile(values, share):
    """The value below which ``share`` percent of the values are."""
    return statistics.quantiles(values, n=100, method="inclusive")[share - 1]


def report(figures, name, product, floor):
    """Write p50 and p95 of both, and their ratios."""
    for share in (50, 95):
        value, least = percentile(product, share), percentile(floor, share)
        figures.add(f"{name}_p{share}", value, "s", value / least, GOAL if share == 50 else None)
        figures.add(f"{name}_floor_p{share}", least, "s", 1.0)


def main():
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequence", type=int, default=20)
    parser.add_argument("--at-once", type=int, default=10)
    parser.add_argument("--no-up", action="store_true", help="leave out the time and memory of `make up`")
    options = parser.parse_args()
    figures = Figures("tenant")
    if not options.no_up:
        up.measure(figures)
    bench = Bench()
    for make in (bench.floor, bench.product):  # what is measured is warm in both
        in_sequence(make, 1)
    one, floor = in_sequence(bench.product, options.sequence), in_sequence(bench.floor, options.sequence)
    report(figures, f"sequence_{options.sequence}", one, floor)
    many, floor = at_once(bench.product, options.at_once), at_once(bench.floor, options.at_once)
    report(figures, f"at_once_{options.at_once}", many, floor)


if __name__ == "__main__":
    main()
