"""Errors of the engines: permanent or retryable, each with a stable code.

The models turn them into the state and message of a step, or into a ``UserError``, once, at the edge.
"""

from __future__ import annotations


class LoomworksError(Exception):
    """Something outside the control plane did not do what was asked.

    ``code`` is stable and may be matched by scripts; ``hint`` says what an operator can do.
    """

    code = "error"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class PermanentError(LoomworksError):
    """Trying again cannot help: somebody has to change something first."""

    code = "permanent"


class RetryableError(LoomworksError):
    """It may work later; ``retry_after`` is in seconds, or None for the usual back-off."""

    code = "retryable"

    def __init__(self, message: str, hint: str = "", retry_after: float | None = None) -> None:
        super().__init__(message, hint)
        self.retry_after = retry_after


class SecretUnavailable(RetryableError):
    """A reference to a secret leads nowhere (it may be mounted later), or is not of a known form."""

    code = "secret_unavailable"


class InvalidQuantity(PermanentError):
    """A size or amount is not written as Kubernetes writes quantities."""

    code = "invalid_quantity"


# --- Kubernetes -------------------------------------------------------------------------------


class ClusterUnreachable(RetryableError):
    """The API server did not answer, or answered that it is overloaded or failing."""

    code = "cluster_unreachable"


class Forbidden(RetryableError):
    """The API server refused the control plane's account; a role binding may still be on its way."""

    code = "forbidden"


class Conflict(RetryableError):
    """Somebody else changed or is deleting the same object just now."""

    code = "conflict"


class InvalidManifest(PermanentError):
    """The API server rejected an object as invalid."""

    code = "invalid_manifest"


class QuotaExceeded(PermanentError):
    """A resource quota leaves no room for the object."""

    code = "quota_exceeded"


class StorageClassMissing(PermanentError):
    """The plan names a storage class that the cluster does not have."""

    code = "storage_class_missing"


class ForeignObject(PermanentError):
    """An object of the wanted name exists and belongs to somebody else."""

    code = "foreign_object"


# --- PostgreSQL -------------------------------------------------------------------------------


class ServerUnreachable(RetryableError):
    """The database server did not answer or refused the control plane's role."""

    code = "server_unreachable"


class ServerFull(PermanentError):
    """The database server has no room: disk, connections or its configured capacity."""

    code = "server_full"


class TemplateMissing(RetryableError):
    """The template database that the plan needs is not on the server."""

    code = "template_missing"


class RestoredDatabaseMissing(PermanentError):
    """A tenant's database that came out of a restore is not there, and no template can take its place."""

    code = "restored_database_missing"


class DatabaseRefused(PermanentError):
    """The database server rejected a statement for a reason that does not pass by itself."""

    code = "database_refused"


# --- a tenant's own Odoo ----------------------------------------------------------------------


class TenantUnreachable(RetryableError):
    """The tenant's Odoo did not answer, or answered with an error."""

    code = "tenant_unreachable"
