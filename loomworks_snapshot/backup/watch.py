"""One look at a server's repository, and what is asked of its steward because of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .expiry import Target, expendable
from .schedule import Policy, backup_wanted, checks_wanted, not_before
from .work import Look, Repository


@dataclass(frozen=True)
class Order:
    """What a server's row says about its backups."""

    policy: Policy
    targets: tuple[Target | str, ...] = ()  # what is to be kept beyond the window
    requested: str = ""  # the kind of backup that somebody has asked for


def attend(repository: Repository, order: Order) -> Look:
    """Look at the server, ask for what is due, and return how it stands then.

    :raises LoomworksError: when the server cannot be asked
    """
    look = repository.look()
    asked = [repository.ask(kind, argument) for kind, argument in due(look, order)]
    return repository.look() if any(asked) else look


def due(look: Look, order: Order) -> Iterable[tuple[str, str | None]]:
    """Yield kind and argument of each piece of work that is wanted now."""
    kind = order.requested or backup_wanted(look, order.policy)
    if kind:
        yield kind, None
    yield from ((kind, None) for kind in checks_wanted(look, order.policy))
    if _may_expire(look):
        labels = expendable(look.backups, look.now - order.policy.window, order.targets)
        yield from (("expire", label) for label in labels[:1])


def _may_expire(look: Look) -> bool:
    """Tell whether the list is what the repository holds, nothing is about to change it, and no failure is fresh."""
    pending = any(one.finished is None for one in look.work)
    last_change = max((one.finished or 0 for one in look.work), default=0)
    is_current = not pending and not look.info_error and (look.info_taken or 0) >= last_change
    return is_current and look.now >= not_before([one for one in look.work if one.kind == "expire"])
