"""Shell exports for scripts: how to reach everything that the stack runs."""

from __future__ import annotations

import shlex

from . import kubectl, odoo_host, secrets, target, test_database
from .settings import Settings

DATABASE = "loomworks"


def values(settings: Settings) -> dict[str, str]:
    """Every exported variable."""
    operator = secrets.ensure(settings, "control-plane-operator")
    odoo = odoo_host.ensure(settings)
    edge = target.edge(settings)
    own = settings.external_kubeconfig is None
    return {
        "KUBECONFIG": str(settings.kubeconfig),
        "LOOMWORKS_KUBECTL": str(kubectl.program(settings)),
        "LOOMWORKS_REGISTRY": settings.registry,
        "LOOMWORKS_URL": f"http://localhost:{settings.edge_port}" if own else target.address(settings),
        "LOOMWORKS_EDGE": edge,
        "LOOMWORKS_DOMAIN": settings.domain,
        "LOOMWORKS_DB": DATABASE,
        "LOOMWORKS_LOGIN": operator["login"],
        "LOOMWORKS_PASSWORD": operator["password"],
        "LOOMWORKS_API_KEY": operator["api-key"],
        "ODOO_PYTHON": str(odoo.python),
        "ODOO_BIN": str(odoo.bin),
        "PG_URL": test_database.url(settings),
    }


def write(settings: Settings) -> None:
    """Write the file, readable by its owner only."""
    settings.env_file.touch(mode=0o600)
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in values(settings).items()]
    settings.env_file.write_text("".join(lines))
