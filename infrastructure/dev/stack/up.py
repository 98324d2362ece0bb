"""``make up``: from whatever is there to a running control plane, stage by stage."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from . import (
    base_images,
    cluster,
    deploy,
    env,
    host,
    images,
    leftovers,
    network,
    odoo_host,
    pki,
    python_env,
    rollout,
    s3,
    secrets,
    supervisor,
    target,
    test_database,
    toolchain,
)
from .progress import Progress, say
from .settings import Settings

Stage = tuple[str, Callable[[], object]]


def up(settings: Settings) -> None:
    """Bring everything up; what is up already is left as it is."""
    if settings.external_kubeconfig is None:
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
        ("Existing cluster", lambda: target.check(settings)),
        ("Certificates", lambda: pki.ensure(settings)),
        ("Odoo for tests on this machine", lambda: odoo_host.ensure(settings)),
        ("PostgreSQL for tests on this machine", lambda: test_database.start(settings)),
    ]


def _embedded(settings: Settings) -> list[Stage]:
    return [
        ("Kubernetes, etcd, containerd... (8 minutes the first time)", lambda: _build_programs(settings)),
        ("Odoo for tests on this machine", lambda: odoo_host.ensure(settings)),
        ("PostgreSQL for tests on this machine", lambda: test_database.ensure(settings)),
        ("Leftovers of an earlier run", lambda: _clean_if_down(settings)),
        ("Bridge, certificates, configuration", lambda: _configure(settings)),
        ("Processes", lambda: _start_processes(settings)),
        ("Registry, S3, test database", lambda: _start_servers(settings)),
        ("Cluster", lambda: cluster.start(settings, python_env.ensure(settings))),
        ("Cluster DNS", lambda: cluster.start_dns(settings, toolchain.ensure(settings))),
    ]


def _build_programs(settings: Settings) -> None:
    """Build the programs; where that takes its time, the images are built meanwhile, for the registry to come."""
    if toolchain.is_built(settings):
        return
    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(_build_images, settings)
        toolchain.ensure(settings)
        ahead.result()


def _build_images(settings: Settings) -> None:
    references = images.references(settings)
    for image in images.IMAGES:
        images.build(settings, image, references[image.name])


def _clean_if_down(settings: Settings) -> None:
    if not supervisor.is_alive(settings):
        test_database.stop(settings)
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
    s3.make_buckets(settings, venv)
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
    address = target.address(settings)
    say(
        f"""
Loomworks is up ({seconds:.0f} s).

  address   {address}
  login     {operator["login"]}
  password  {operator["password"]}   (kept in {settings.state}/secrets)

Next: log in, open Tenants, create one and press Provision; its own Odoo then answers at
{address.replace("://", "://<subdomain>.")}.
Scripts:  . {settings.env_file}      Also: make status, make logs, make test-e2e, make down"""
    )
