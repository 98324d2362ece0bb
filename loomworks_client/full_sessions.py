"""A page is answered, too, when its session cannot be written for want of room.

Attachments leave room for sessions (``volume.py``). Where something else has filled the volume to its last block,
who is logged in reads on, and who is not sees the login page: without this, both would get an error page.
"""

from __future__ import annotations

import logging
from typing import Any

from . import volume

_logger = logging.getLogger(__name__)


def activate(http: Any) -> None:
    """Have sessions kept where there is room; once a process."""
    store = http.FilesystemSessionStore
    if hasattr(store, "_loomworks_full"):
        return
    store._loomworks_full = True
    save = store.save

    def kept_if_possible(self: Any, session: Any) -> None:
        try:
            save(self, session)
        except OSError as error:
            if error.errno not in volume.FULL:
                raise
            _logger.warning("a session could not be kept: the volume is full")

    store.save = kept_if_possible
