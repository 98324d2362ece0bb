"""``python -m stack.provisioner``: run the provisioner of one node."""

from __future__ import annotations

import argparse
import logging
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
    disks = Disks(options.images, options.mounts)
    Controller(Api(options.kubeconfig), disks, options.node).run(options.ready)


if __name__ == "__main__":
    main()
