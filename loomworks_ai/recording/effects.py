"""What an operation sends out while it runs: requests over HTTP, which cover SMS, payments and webhooks alike."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from .operation import Operation

WORD = re.compile(r"[A-Za-z._-]{1,20}[0-9]{0,2}")
READING = frozenset({"GET", "HEAD", "OPTIONS"})


def activate(connection_class: Any, under_way: Callable[[], Operation | None]) -> None:
    """Have HTTP connections tell the operation under way what they send, once in a process.

    Noted are the method, the host, and of the path what can be no secret; never a query or a body.

    :param connection_class: `http.client.HTTPConnection`, with whose ``putrequest`` each request begins, whether
        ``requests`` sends it, ``urllib.request``, ``xmlrpc.client`` or a vendor's library on one of these
    """
    putrequest = connection_class.putrequest
    if hasattr(putrequest, "loomworks"):
        return

    @functools.wraps(putrequest)
    def telling_putrequest(self: Any, method: str, url: str, *args: Any, **options: Any) -> None:
        operation = under_way()
        if operation is not None and method.upper() not in READING:
            host, path = _target(self, url)
            operation.note("request", method=method, host=host, path=path)
        putrequest(self, method, url, *args, **options)

    telling_putrequest.loomworks = True
    connection_class.putrequest = telling_putrequest


def _target(connection: Any, url: str) -> tuple[str, str]:
    """Return host and path of a request. One to a proxy has its host in the URL, or in the tunnel through it."""
    if url.startswith("http"):
        address = urlsplit(url)
        return address.hostname or "", _plain(address.path)
    return (connection._tunnel_host or connection.host).lower(), _plain(url.partition("?")[0].partition("#")[0])


def _plain(path: str) -> str:
    """Return a path's first part, where that is a word; what addresses a webhook is the key to it."""
    first, _slash, rest = path.lstrip("/").partition("/")
    if not WORD.fullmatch(first):
        return "/…" if first else "/"
    return f"/{first}/…" if rest else f"/{first}"
