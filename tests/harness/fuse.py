"""Die at the n-th call to the outside, be it of the API server or of a database server; the tests of being killed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

NUMBERS = re.compile(r"[0-9a-f]{8,}|[0-9]+")  # what differs between two tenants' calls


class Fuse:
    """Calls ``die`` at the tick number ``at``; counts them only, while that is None."""

    in_transactions = True  # tick at statements whose effect comes with a commit only, too

    def __init__(self, die: Callable[[], None], at: int | None = None) -> None:
        self._die = die
        self.at = at
        self.count = 0

    def tick(self, what: str = "") -> None:
        """Die now, when it is time; ``what`` comes next."""
        if self.is_time(what):
            self._die()
        self.count += 1

    def is_time(self, what: str) -> bool:
        """Tell whether this tick is the last one."""
        return self.count == self.at

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``function`` with a tick before and a tick after it."""

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            self.tick(_called(function, args))
            result = function(*args, **kwargs)
            self.tick("after that")
            return result

        return wrapped

    def guard(self, boundary: Any, calls: tuple[str, ...]) -> Any:
        """Return ``boundary`` with ticks around each of these methods."""
        for name in calls:
            setattr(boundary, name, self.around(getattr(boundary, name)))
        return boundary

    def guard_server(self, server: Any) -> Any:
        """Return a ``DatabaseServer`` with ticks around each statement, and before and after each commit."""
        connect = server.connect

        @contextmanager
        def fused(*args: Any, **options: Any) -> Iterator[Any]:
            with connect(*args, **options) as cr:
                yield FusedCursor(cr, self) if self.in_transactions or options.get("autocommit") else cr
                self.tick("commit")
            self.tick("after the commit")

        server.connect = fused
        return server


class EachOnce(Fuse):
    """Calls ``die`` at each tick that it has not died at: in ``state``, by its number since ``start`` and its call."""

    in_transactions = False

    def __init__(self, die: Callable[[], None]) -> None:
        super().__init__(die)
        self.died: set[tuple[str, int, str]] = set()
        self.state = ""

    def start(self, state: str) -> None:
        """Begin to count anew."""
        self.state, self.count = state, 0

    def is_time(self, what: str) -> bool:
        """Tell whether it has not died here yet; after a call is as good as before the next one."""
        here = self.state, self.count, what
        if not self.state or what.startswith("after") or here in self.died:
            return False
        self.died.add(here)
        return True


def _called(function: Callable[..., Any], args: tuple[Any, ...]) -> str:
    """Return what a call is, in few words."""
    about = args[0]["kind"] if args and isinstance(args[0], dict) else NUMBERS.sub("", repr(args[:1])[:200])
    return f"{function.__name__} {about}"


class FusedCursor:
    """A cursor whose statements are ticks; otherwise the cursor itself."""

    def __init__(self, cr: Any, fuse: Fuse) -> None:
        self._cr = cr
        self.execute = fuse.around(cr.execute)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cr, name)
