"""What an operation sends out while it runs: requests over HTTP, which cover SMS, payments and webhooks alike."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from .operation import Operation

READING = frozenset({"GET", "HEAD", "OPTIONS"})


def activate(session_class: Any, under_way: Callable[[], Operation | None]) -> None:
    """Have the HTTP library tell the operation under way what it sends, once in a process.

    Noted are the method, the host and the path; never a query or a body: they may hold what is secret.
    """
    send = session_class.send
    if hasattr(send, "loomworks"):
        return

    @functools.wraps(send)
    def telling_send(self: Any, request: Any, **options: Any) -> Any:
        operation = under_way()
        if operation is not None and request.method not in READING:
            address = urlsplit(request.url)
            operation.note("request", method=request.method, host=address.hostname or "", path=address.path)
        return send(self, request, **options)

    telling_send.loomworks = True
    session_class.send = telling_send
