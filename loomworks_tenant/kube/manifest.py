"""What the engines pass around of Kubernetes."""

from typing import Any

Manifest = dict[str, Any]  # one object, as its API takes and returns it
