"""The only place that talks to a tenant's Odoo over HTTP, as the control plane's service user."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from .errors import TenantUnreachable

TIMEOUT = 5  # seconds


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


class TenantHttp:
    """HTTP to tenants by the address of their Service; no proxy, no redirects."""

    def __init__(self) -> None:
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect())

    def get_status(self, url: str) -> int:
        """Return the status code of a GET.

        :raises TenantUnreachable: when nothing answers
        """
        try:
            with self._opener.open(url, timeout=TIMEOUT) as response:
                return response.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError as error:
            raise TenantUnreachable(f"the tenant's Odoo does not answer: {error}", retry_after=0.5) from error

    def call(self, base_url: str, api_key: str, model: str, method: str, **arguments: Any) -> Any:
        """Call a method by JSON-2 and return its result.

        :raises TenantUnreachable: when nothing answers, or with what Odoo answered
        """
        request = urllib.request.Request(
            f"{base_url}/json/2/{model}/{method}",
            data=json.dumps(arguments).encode(),
            headers={"Authorization": f"bearer {api_key}", "Content-Type": "application/json"},
        )
        try:
            with self._opener.open(request, timeout=TIMEOUT) as response:
                return json.loads(response.read())
        except urllib.error.HTTPError as error:
            raise TenantUnreachable(f"the tenant's Odoo answered {error.code} to {model}.{method}") from error
        except (OSError, ValueError) as error:
            raise TenantUnreachable(f"the tenant's Odoo does not answer: {error}") from error
