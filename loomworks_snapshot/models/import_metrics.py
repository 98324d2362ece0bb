"""The figures of imports, as Prometheus reads them."""

from ..backup.metrics import Metric

TOLD = ("draft", "waiting", "loading", "installing", "starting", "failed")  # that are not over


def imports(clusters):
    """How many imports stand where."""
    found = Metric("loomworks_imports", "Imports of tenants that are not over, by state.")
    groups = clusters.env["loomworks.import"]._read_group([("state", "in", TOLD)], ["cluster_id", "state"], ["__count"])
    counts = {(cluster, state): count for cluster, state, count in groups}
    for cluster in clusters:
        for state in TOLD:
            found.add(counts.get((cluster, state), 0), cluster=cluster.name, state=state)
    return found


MAKERS = (imports,)
