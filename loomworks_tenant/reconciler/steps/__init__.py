"""The steps of a tenant, in the order in which they are ensured."""

from __future__ import annotations

from ..step import Step
from .access import Credentials, Namespace, Policies
from .data import Database, DatabaseRole, IdentityStep, Limits
from .runtime import Address, Configuration, Health, Route, Switch, Workload


def tenant_steps() -> list[Step]:
    """Return the steps of a tenant; addons insert their own between them."""
    return [
        Address(),
        Namespace(),
        Policies(),
        Credentials(),
        DatabaseRole(),
        Database(),
        IdentityStep(),
        Limits(),
        Configuration(),
        Workload(),
        Switch(),
        Route(),
        Health(),
    ]
