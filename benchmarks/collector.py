"""Collect a tenant's objects as the control plane does, in a process of its own, whose memory is measured."""

import os
import sys

from harness import engines

engines.register()

from addons.loomworks_storage.filestore.collect import Collector  # noqa: E402  (only importable once registered)
from addons.loomworks_storage.filestore.key import Key  # noqa: E402
from addons.loomworks_storage.filestore.location import Location  # noqa: E402
from addons.loomworks_storage.filestore.store import Store  # noqa: E402
from addons.loomworks_storage.filestore.vault import Vault  # noqa: E402

if __name__ == "__main__":
    location = Location.from_environment(os.environ, sys.argv[1])
    print(Collector(Vault(Store(location), Key.parse(os.environ["LOOMWORKS_FILESTORE_KEY"]))).run())
