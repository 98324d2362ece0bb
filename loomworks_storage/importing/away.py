"""How libpq and a server say that it has ended, is about to, or is not there yet.

PostgreSQL 17, errcodes of class 57P.
"""

from __future__ import annotations

AWAY = (
    "closed the connection",
    "closed unexpectedly",
    "no connection to the server",
    "terminating connection",
    "the database system is",  # starting up, shutting down, in recovery mode
    "Connection refused",
    "could not translate host name",
    "SYSCALL error",
    "timeout expired",
    "No route to host",
)


def is_away(said: str) -> bool:
    """Tell whether a program that has failed with these words lost its server: another try may do better."""
    return any(words in said for words in AWAY)
