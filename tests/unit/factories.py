"""Specifications for tests."""

from addons.loomworks_tenant.reconciler.spec import (
    ClusterSpec,
    Goal,
    Resources,
    ServerSpec,
    TemplateSpec,
    TenantSpec,
    VolumeSpec,
)

UUID = "0d3c8a52-6f0e-4b0e-9d0e-2f6f1c7a9b11"


def cluster_spec(**changes):
    values = {
        "kubeconfig": "in-cluster",
        "domain": "example.test",
        "public_url": "https://console.example.test:8443",
        "image": "registry.example/loomworks-odoo:1",
        "control_namespace": "loomworks",
        "routes_namespace": "loomworks-routes",
        "service_account": "control-plane",
    }
    return ClusterSpec(**{**values, **changes})


def server_spec(**changes):
    values = {"host": "postgres", "port": 5432, "user": "loomworks_provisioner", "password_reference": "env:PASSWORD"}
    return ServerSpec(**{**values, **changes})


def tenant_spec(**changes):
    values = {
        "uuid": UUID,
        "name": "Acme",
        "subdomain": "acme",
        "database": "t_" + UUID.replace("-", ""),
        "goal": Goal.ACTIVE,
        "cluster": cluster_spec(),
        "server": server_spec(),
        "resources": Resources("10m", "1", "128Mi", "768Mi"),
        "template_database": "loomworks_template_basic_1",
        "admin_login": "ada@acme.test",
        "admin_name": "Ada",
        "connection_limit": 16,
        "volume": VolumeSpec(f"odoo-instance-{UUID}", "5Gi", "loomworks-dev", "ReadWriteOnce", "/var/lib/odoo"),
        "parameters": {"loomworks.max_users": "5"},
    }
    return TenantSpec(**{**values, **changes})


def template_spec(**changes):
    values = {
        "plan": "basic",
        "modules": ("base", "web", "loomworks_client"),
        "languages": ("en_US",),
        "cluster": cluster_spec(),
        "server": server_spec(),
    }
    return TemplateSpec(**{**values, **changes})
