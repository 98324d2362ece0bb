"""The steward of the database server's image, imported from where the image takes it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "infrastructure/docker/postgres"))
