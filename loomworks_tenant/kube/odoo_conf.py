"""The configuration file of a tenant's Odoo."""

from __future__ import annotations

import configparser
import hashlib
import io

from ..reconciler.spec import TenantSpec
from . import manifests, names

ADDONS_PATH = "/opt/loomworks/addons"  # of the loomworks-odoo image
# Seconds. Odoo starts anew when crons take longer, one after another, and its users wait; 120 where nothing is said.
CRON_LIMIT = 900
MAX_CONNECTIONS_SHARE = 2  # Odoo keeps as many connections for its second pool


def render(spec: TenantSpec, password: str) -> str:
    """Return ``odoo.conf``: one database, no database manager, behind a proxy."""
    data_path = spec.volume.mount_path if spec.volume else manifests.DEFAULT_DATA_PATH
    options = {
        "db_host": spec.server.host,
        "db_port": spec.server.port,
        "db_user": spec.role,
        "db_password": password,
        "db_sslmode": "require",
        "db_name": spec.database,
        "db_maxconn": max(4, spec.connection_limit // MAX_CONNECTIONS_SHARE),
        "list_db": False,
        "admin_passwd": _master_password(password),
        "addons_path": ADDONS_PATH,
        "data_dir": data_path,
        "http_port": names.HTTP_PORT,
        "proxy_mode": True,
        "workers": 0,
        "max_cron_threads": 1,
        "limit_time_real_cron": CRON_LIMIT,
        "server_wide_modules": "base,rpc,web,loomworks_client",
        "without_demo": True,
        "log_handler": ":INFO,py.warnings:ERROR",
    }
    parser = configparser.RawConfigParser()
    parser["options"] = {key: str(value) for key, value in options.items()}
    text = io.StringIO()
    parser.write(text)
    return text.getvalue()


def _master_password(password: str) -> str:
    """The database manager is off; should it ever be switched on, its password is nobody's."""
    return hashlib.sha256(f"master:{password}".encode()).hexdigest()
