"""The running stack's cluster, by kubectl and as its administrator; ``stack`` is what its `env` file says."""

import subprocess
from collections.abc import Mapping

PLATFORM = "loomworks"  # the control plane's namespace


def argv(stack: Mapping[str, str], *arguments: str) -> list[str]:
    """Return the command."""
    return [stack["LOOMWORKS_KUBECTL"], f"--kubeconfig={stack['KUBECONFIG']}", *arguments]


def kubectl(stack: Mapping[str, str], *arguments: str, stdin: str | None = None) -> str:
    """Run kubectl and return what it prints; what it complains of fails the test."""
    command = argv(stack, *arguments)
    done = subprocess.run(command, input=stdin, check=False, capture_output=True, text=True, timeout=120)
    assert not done.returncode, (arguments, done.stderr)
    return done.stdout


def in_odoo(stack: Mapping[str, str], namespace: str, *command: str) -> str:
    """Run a command in the Odoo of a tenant's namespace."""
    return kubectl(stack, "-n", namespace, "exec", "deployment/odoo", "-c", "odoo", "--", *command)


def control_sql(stack: Mapping[str, str], query: str) -> list[str]:
    """Run a query in the control plane's database, as a superuser; return its rows, values separated by ``|``."""
    psql = ("psql", "-XAt", "-d", "loomworks", "-c", query)
    return kubectl(stack, "-n", PLATFORM, "exec", "postgres-0", "-c", "postgres", "--", *psql).splitlines()
