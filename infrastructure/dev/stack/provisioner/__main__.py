"""``python -m stack.provisioner``: run the provisioner of one node."""

from __future__ import annotations

import argparse
import logging
import os
import threading
from pathlib import Path

from .api import Api
from .controller import Controller
from .disk import Disks


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True, help="folder of the files that hold the disks")
    parser.add_argument("--mounts", type=Path, required=True, help="folder below which they are mounted")
    parser.add_argument("--ready", type=Path, required=True, help="file that is written when all is mounted")
    parser.add_argument("--node", required=True)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    threading.excepthook = _end_with
    disks = Disks(options.images, options.mounts)
    Controller(Api(options.kubeconfig), disks, options.node).run(options.ready)


def _end_with(failure: threading.ExceptHookArgs) -> None:
    """End the process when a thread dies of what nobody expected: the supervisor starts it anew."""
    logging.getLogger(__name__).critical(
        "ending", exc_info=(failure.exc_type, failure.exc_value, failure.exc_traceback)
    )
    os._exit(1)


if __name__ == "__main__":
    main()
