"""What a tenant should be, as plain immutable values: the only thing a step knows of a row."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Goal(StrEnum):
    """Where the reconciler brings a tenant."""

    ACTIVE = "active"  # serving
    SUSPENDED = "suspended"  # nothing runs, everything is kept
    ARCHIVED = "archived"  # the runtime is gone; volume and database wait for the end of the retention
    ERASED = "erased"  # nothing is left


@dataclass(frozen=True)
class ClusterSpec:
    """A Kubernetes cluster: how tenants are reached there and what their pods run."""

    kubeconfig: str
    domain: str
    public_url: str
    image: str
    control_namespace: str
    routes_namespace: str
    service_account: str
    image_pull_policy: str = "IfNotPresent"

    def tenant_url(self, subdomain: str) -> str:
        """Return a tenant's own address, with the scheme and port of the platform's."""
        scheme, _, authority = self.public_url.partition("://")
        _, colon, port = authority.rstrip("/").partition(":")
        return f"{scheme}://{subdomain}.{self.domain}{colon}{port}"


@dataclass(frozen=True)
class ServerSpec:
    """A PostgreSQL server, and the reference to its provisioning role's password."""

    host: str
    port: int
    user: str
    password_reference: str
    maintenance_database: str = "postgres"
    sslmode: str = "require"
    ca_file: str = ""


@dataclass(frozen=True)
class Resources:
    """CPU and memory of one tenant's container, in Kubernetes' notation."""

    cpu_request: str
    cpu_limit: str
    memory_request: str
    memory_limit: str


@dataclass(frozen=True)
class VolumeSpec:
    """The tenant's volume: claim name, size and class in Kubernetes' notation."""

    claim: str
    size: str
    storage_class: str
    access_mode: str
    mount_path: str
    missed: bool = False  # the tenant has had it: a claim that is gone is told of, and no empty one made in its place


@dataclass(frozen=True)
class TenantSpec:
    """One tenant as it should be."""

    uuid: str
    name: str
    subdomain: str
    database: str
    goal: Goal
    cluster: ClusterSpec
    server: ServerSpec
    resources: Resources
    template_database: str | None  # None while it is being built
    admin_login: str
    admin_name: str
    connection_limit: int
    template_problem: str = ""
    volume: VolumeSpec | None = None
    parameters: dict[str, str] = field(default_factory=dict)
    restarted_at: str = ""
    previous_database: str = ""  # which the tenant had before; its files are where those of ``database`` begin
    files: Any = None  # what files the database is to have from S3 (loomworks_storage.files.spec.FilesSpec)
    switching: bool = False  # from the previous database to this one: the pods of both run side by side
    deleted_at: str = ""  # of an archived tenant: since when its data waits for its end, ISO 8601 in UTC
    retention_days: int = 0  # for which it waits
    paused: bool = False  # its Odoo is stopped for a while, whatever the goal
    old_claim: str = ""  # the UID of a claim that a fresh one is to replace
    keeps_users: bool = False  # a copy of another tenant: its users keep their logins and passwords

    @property
    def role(self) -> str:
        """The PostgreSQL role that owns the tenant's databases; its first one has its name."""
        return first_database(self.uuid)

    @property
    def restored(self) -> bool:
        """Whether the tenant has been restored: whichever database it has now, no template can take its place."""
        return self.database != self.role or bool(self.previous_database)

    @property
    def running(self) -> bool:
        """Whether pods should run."""
        return self.goal == Goal.ACTIVE and not self.paused

    @property
    def public_url(self) -> str:
        """The tenant's own address."""
        return self.cluster.tenant_url(self.subdomain)


@dataclass(frozen=True)
class TemplateSpec:
    """A template database as it should be: which modules of which image, on which server."""

    plan: str
    modules: tuple[str, ...]
    languages: tuple[str, ...]
    cluster: ClusterSpec
    server: ServerSpec

    @property
    def fingerprint(self) -> str:
        """Name what goes into the template; another image or module makes another template."""
        return fingerprint([self.cluster.image, self.modules, self.languages])[:12]

    @property
    def database(self) -> str:
        """The finished template's name."""
        return f"loomworks_template_{self.plan}_{self.fingerprint}"

    @property
    def building(self) -> str:
        """Its name until it is finished."""
        return f"{self.database}_new"

    @property
    def job(self) -> str:
        """The Job that builds it."""
        return f"template-{self.plan}-{self.fingerprint}".replace("_", "-")


def first_database(uuid: str) -> str:
    """Name the database that a tenant is provisioned with."""
    return f"t_{uuid.replace('-', '')}"


def is_database_of(uuid: str, name: str) -> bool:
    """Tell by its name whether a database is or was the tenant's: the first one, or that of a restore or an import."""
    return bool(re.fullmatch(rf"{first_database(uuid)}(_r[0-9]+)?", name))


def fingerprint(value: Any) -> str:
    """Name a plain value by its content, so that a step knows whether its inputs have changed."""
    plain = asdict(value) if hasattr(value, "__dataclass_fields__") else value
    return hashlib.sha256(json.dumps(plain, sort_keys=True, default=str).encode()).hexdigest()[:16]
