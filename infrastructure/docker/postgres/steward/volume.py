"""What an empty volume means: a server that has never been, or one that has lost its disk.

``python3 -m steward.volume`` prints ``new`` where the repository knows no server under this stanza, ``lost`` where it
has base backups of one, and ``bare`` where it knows one and has none. It waits for a repository that does not answer: a
new server beside the backups of the old one would look as if everybody's data were gone.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from .backrest import Backrest, RepositoryError

PAUSE = 5.0  # seconds between two questions


def meaning(stanzas: list[dict[str, Any]]) -> str:
    """Return ``new``, ``lost`` or ``bare``; see the module."""
    if any(stanza.get("backup") for stanza in stanzas):
        return "lost"
    return "bare" if any(stanza.get("db") for stanza in stanzas) else "new"


def main() -> None:
    """Ask until the repository answers, and print what it means."""
    backrest, said = Backrest(), ""
    while True:
        try:
            print(meaning(backrest.info()))
            return
        except RepositoryError as error:
            text = f"the volume is empty, and the repository does not say whether it is a new server's: {error}"
            if text != said:
                print(text, file=sys.stderr, flush=True)
            said = text
            time.sleep(PAUSE)


if __name__ == "__main__":
    main()
