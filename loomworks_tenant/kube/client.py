"""The only place that talks to a Kubernetes API server.

Writes are server-side apply under one field manager: the server merges, and what others own stays
theirs (https://kubernetes.io/docs/reference/using-api/server-side-apply/).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from .. import secret_reference
from ..errors import (
    ClusterUnreachable,
    Conflict,
    Forbidden,
    InvalidManifest,
    LoomworksError,
    PermanentError,
    QuotaExceeded,
)
from . import names
from .manifest import Manifest

IN_CLUSTER = "in-cluster"
CONNECT_TIMEOUT = 5  # seconds
READ_TIMEOUT = 20  # seconds
KUBELET_PORT = 10250
PAGE_SIZE = 500  # objects a LIST request


@dataclass(frozen=True)
class Kind:
    """Where objects of one kind are found: API prefix, plural, and whether a namespace is part of the path."""

    api: str
    plural: str
    namespaced: bool = True


KINDS = {
    "Namespace": Kind("/api/v1", "namespaces", namespaced=False),
    "Secret": Kind("/api/v1", "secrets"),
    "ConfigMap": Kind("/api/v1", "configmaps"),
    "Service": Kind("/api/v1", "services"),
    "Pod": Kind("/api/v1", "pods"),
    "Event": Kind("/api/v1", "events"),
    "PersistentVolumeClaim": Kind("/api/v1", "persistentvolumeclaims"),
    "ResourceQuota": Kind("/api/v1", "resourcequotas"),
    "LimitRange": Kind("/api/v1", "limitranges"),
    "ServiceAccount": Kind("/api/v1", "serviceaccounts"),
    "Deployment": Kind("/apis/apps/v1", "deployments"),
    "ReplicaSet": Kind("/apis/apps/v1", "replicasets"),
    "Job": Kind("/apis/batch/v1", "jobs"),
    "NetworkPolicy": Kind("/apis/networking.k8s.io/v1", "networkpolicies"),
    "RoleBinding": Kind("/apis/rbac.authorization.k8s.io/v1", "rolebindings"),
    "PersistentVolume": Kind("/api/v1", "persistentvolumes", namespaced=False),
    "StorageClass": Kind("/apis/storage.k8s.io/v1", "storageclasses", namespaced=False),
}


def object_path(kind: str, namespace: str | None = None, name: str | None = None) -> str:
    """Return the API path of a collection, or of one object when ``name`` is given."""
    where = KINDS[kind]
    scope = f"/namespaces/{namespace}" if where.namespaced and namespace else ""
    path = f"{where.api}{scope}/{where.plural}"
    return f"{path}/{name}" if name else path


class KubeClient:
    """A connection to one cluster.

    :param kubeconfig: ``in-cluster``, or a reference to the path of a kubeconfig (``file:/path``)
    """

    def __init__(self, kubeconfig: str = IN_CLUSTER, context: str | None = None) -> None:
        self._kubeconfig = kubeconfig
        self._context = context

    @cached_property
    def _api(self):
        # Imported here: the generated client costs a second and 50 MB, which only a worker needs to pay.
        from kubernetes import client, config

        try:
            if self._kubeconfig == IN_CLUSTER:
                configuration = client.Configuration()
                config.load_incluster_config(client_configuration=configuration)
                return client.ApiClient(configuration)
            secret_reference.check(self._kubeconfig)
            path = self._kubeconfig.partition(":")[2]
            return config.new_client_from_config(config_file=path, context=self._context)
        except config.ConfigException as error:
            raise PermanentError(f"the cluster cannot be configured: {error}") from error

    def apply(self, manifest: Manifest) -> Manifest:
        """Make the object be as ``manifest`` says, creating it if need be, and return it as stored."""
        meta = manifest["metadata"]
        path = object_path(manifest["kind"], meta.get("namespace"), meta["name"])
        query = [("fieldManager", names.FIELD_MANAGER), ("force", "true")]
        return self._call("PATCH", path, query, manifest, "application/apply-patch+yaml")

    def create(self, manifest: Manifest) -> Manifest:
        """Create the object; raises :class:`Conflict` when there is one of that name."""
        path = object_path(manifest["kind"], manifest["metadata"].get("namespace"))
        return self._call("POST", path, [("fieldManager", names.FIELD_MANAGER)], manifest, "application/json")

    def merge(self, kind: str, name: str, namespace: str | None, change: Manifest) -> Manifest:
        """Change the named fields of an object (JSON merge patch)."""
        path = object_path(kind, namespace, name)
        query = [("fieldManager", names.FIELD_MANAGER)]
        return self._call("PATCH", path, query, change, "application/merge-patch+json")

    def get(self, kind: str, name: str, namespace: str | None = None) -> Manifest | None:
        """Return the object, or None when there is none."""
        return self._call("GET", object_path(kind, namespace, name), missing_ok=True)

    def delete(self, kind: str, name: str, namespace: str | None = None, *, uid: str = "") -> bool:
        """Ask for the object's deletion (dependents in the background); False when it was not there.

        :param uid: delete this very object only; raises :class:`Conflict` when there is another one of its name
        """
        body = {"propagationPolicy": "Background", **({"preconditions": {"uid": uid}} if uid else {})}
        path = object_path(kind, namespace, name)
        return self._call("DELETE", path, body=body, content_type="application/json", missing_ok=True) is not None

    def list(self, kind: str, namespace: str | None = None, **filters: str) -> Iterator[Manifest]:
        """Yield the objects of ``kind``, page by page.

        :param filters: ``label_selector`` and ``field_selector`` as the API knows them
        """
        query = [("limit", str(PAGE_SIZE))]
        query += [
            (name, filters[key])
            for key, name in (("label_selector", "labelSelector"), ("field_selector", "fieldSelector"))
            if filters.get(key)
        ]
        token: str | None = ""
        while token is not None:
            page = self._call("GET", object_path(kind, namespace), query + ([("continue", token)] if token else []))
            yield from page["items"]
            token = page["metadata"].get("continue") or None

    def pod_log(self, namespace: str, pod: str, container: str, lines: int = 40) -> str:
        """Return the end of a container's log, or an empty text when there is none yet."""
        path = f"{object_path('Pod', namespace, pod)}/log"
        query = [("container", container), ("tailLines", str(lines))]
        return self._call("GET", path, query, missing_ok=True, raw=True) or ""

    def node_stats(self, address: str) -> Manifest:
        """Return what the kubelet of the node at ``address`` measures of its pods, volumes included.

        The kubelet is asked itself, with the same identity, and must show a certificate of the cluster's authority.
        """
        host = f"https://{f'[{address}]' if ':' in address else address}:{KUBELET_PORT}"
        return self._call("GET", f"{host}/stats/summary")

    def _call(
        self,
        method: str,
        path: str,
        query: list[tuple[str, str]] | None = None,
        body: Manifest | None = None,
        content_type: str | None = None,
        *,
        missing_ok: bool = False,
        raw: bool = False,
    ) -> Any:
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        elsewhere = urlsplit(path).netloc
        headers = {"Accept": "*/*" if raw else "application/json"}
        if content_type:
            headers["Content-Type"] = content_type
        try:
            response = self._api.call_api(
                path,
                method,
                query_params=query or [],
                header_params=headers,
                body=body,
                auth_settings=["BearerToken"],
                _preload_content=False,
                _request_timeout=(CONNECT_TIMEOUT, READ_TIMEOUT),
                _host="" if elsewhere else None,
            )
        except ApiException as error:
            if error.status == 404 and missing_ok:
                return None
            raise translate(error.status, error.body, f"{method} {path}") from error
        except HTTPError as error:
            who = f"the kubelet at {elsewhere}" if elsewhere else "the cluster's API server"
            why = type(getattr(error, "reason", None) or error).__name__  # of all attempts at connecting, the last
            raise ClusterUnreachable(f"{who} does not answer: {why}") from error
        return response.data.decode(errors="replace") if raw else json.loads(response.data)


def translate(status: int, body: str | bytes | None, request: str) -> LoomworksError:
    """Turn an HTTP error of the API server into the error of this engine.

    Status reasons: https://kubernetes.io/docs/reference/using-api/api-concepts/
    """
    message = _status_message(body) or f"{request} was answered with {status}"
    if status == 403 and "exceeded quota" in message:
        return QuotaExceeded(message, "Raise the quota of the namespace or choose a smaller plan.")
    if status in (401, 403):
        return Forbidden(message, "Check the role bindings of the control plane's service account.")
    if status == 409:
        return Conflict(message, retry_after=1)
    if status in (400, 404, 405, 415, 422):
        return InvalidManifest(message)
    return ClusterUnreachable(message)


def _status_message(body: str | bytes | None) -> str:
    try:
        return str(json.loads(body or "{}").get("message", ""))
    except (ValueError, AttributeError):
        return ""
