"""``make up``: from whatever is there to a running control plane, stage by stage."""

from __future__ import annotations

from collections.abc import Callable

from . import (
    base_images,
    cluster,
    deploy,
    env,
    host,
    images,
    kubectl,
    leftovers,
    network,
    odoo_host,
    pki,
    python_env,
    rollout,
    s3,
    secrets,
    supervisor,
    test_database,
    toolchain,
)
from .progress import Progress, say
from .settings import Settings

Stage = tuple[str, Callable[[], object]]


def up(settings: Settings) -> None:
    """Bring everything up; what is up already is left as it is."""
    leftovers.refuse_neighbour(settings)
    preparation = [
        ("Packages of this machine", lambda: host.ensure(settings)),
        ("Python environment", lambda: python_env.ensure(settings)),
    ]
    stages = preparation + (_existing(settings) if settings.external_kubeconfig else _embedded(settings))
    stages += _product(settings)
    progress = Progress(len(stages), settings.state / "stages.jsonl")
    for title, work in stages:
        with progress.stage(title):
            work()
    _say_what_next(settings, progress.total_seconds())


def _existing(settings: Settings) -> list[Stage]:
    return [
        ("Existing cluster answers", lambda: kubectl.run(settings, "version", "--request-timeout=10s")),
        ("Certificates", lambda: pki.ensure(settings)),
        ("Odoo for tests on this machine", lambda: odoo_host.ensure(settings)),
        ("PostgreSQL for tests on this machine", lambda: test_database.start(settings)),
    ]


def _embedded(settings: Settings) -> list[Stage]:
    return [
        ("Kubernetes, etcd, containerd and others from their Go modules", lambda: toolchain.ensure(settings)),
        ("Odoo for tests on this machine", lambda: odoo_host.ensure(settings)),
        ("PostgreSQL for tests on this machine", lambda: test_database.ensure(settings)),
        ("Leftovers of an earlier run", lambda: _clean_if_down(settings)),
        ("Bridge, certificates, configuration", lambda: _configure(settings)),
        ("Processes", lambda: _start_processes(settings)),
        ("Registry, S3, test database", lambda: _start_servers(settings)),
        ("Cluster", lambda: cluster.start(settings, python_env.ensure(settings))),
        ("Cluster DNS", lambda: cluster.start_dns(settings, toolchain.ensure(settings))),
    ]


def _clean_if_down(settings: Settings) -> None:
    if not supervisor.is_alive(settings) and leftovers.traces(settings):
        leftovers.clean(settings)


def _configure(settings: Settings) -> None:
    network.ensure(settings)
    cluster.write_configuration(settings, toolchain.ensure(settings))


def _start_processes(settings: Settings) -> None:
    venv = python_env.ensure(settings)
    supervisor.start(settings, venv, cluster.programs(settings, toolchain.ensure(settings), venv))


def _start_servers(settings: Settings) -> None:
    venv = python_env.ensure(settings)
    cluster.start_servers(settings, venv)
    base_images.ensure(settings, toolchain.ensure(settings))
    s3.make_bucket(settings, venv)
    test_database.wait(settings)


def _product(settings: Settings) -> list[Stage]:
    built: dict[str, str] = {}
    return [
        ("Images of Odoo, PostgreSQL and the edge", lambda: built.update(images.ensure(settings))),
        ("Manifests", lambda: deploy.apply(settings, built)),
        *((f"Ready: {name}", _rollout(settings, name)) for name in deploy.ROLLOUTS),
        ("build/dev/env", lambda: env.write(settings)),
    ]


def _rollout(settings: Settings, name: str) -> Callable[[], None]:
    return lambda: rollout.wait(settings, name)


def _say_what_next(settings: Settings, seconds: float) -> None:
    operator = secrets.ensure(settings, "control-plane-operator")
    say(
        f"""
Loomworks is up ({seconds:.0f} s).

  address   http://{settings.domain}:{settings.edge_port}  (http://localhost:{settings.edge_port} as well)
  login     {operator["login"]}
  password  {operator["password"]}   (kept in {settings.state}/secrets)

Next: log in, open Tenants, create one and press Provision; its own Odoo then answers at
http://<subdomain>.{settings.domain}:{settings.edge_port}.
Scripts:  . {settings.env_file}      Also: make status, make logs, make test-e2e, make down"""
    )
