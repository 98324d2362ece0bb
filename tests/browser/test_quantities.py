"""Sizes in lists read as they do everywhere else."""

import random

from harness import engines

engines.register()
from addons.loomworks_tenant.kube import quantity  # noqa: E402

READ = "counts => { const { readable } = odoo.loader.modules.get('%s'); return counts.map(readable); }"
MODULE = "@loomworks_tenant/quantity/quantity_field"


def test_browser_writes_bytes_as_the_server_does(page, log_in):
    log_in()
    chance = random.Random(20261126)
    some = [0, 1, 1023, 1024, 10 * 1024, 1024**2 - 1, 5 * 1024**3]
    counts = [*some, *(chance.randrange(2**bits) for bits in range(1, 60))]
    assert page.evaluate(READ % MODULE, counts) == [quantity.readable(count) for count in counts]
