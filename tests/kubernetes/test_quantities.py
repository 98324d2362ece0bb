"""Quantities as the real API server reads them: what it takes, what it refuses, and what it makes of them."""

from __future__ import annotations

import json
import random
from typing import Any

import overlays
import pytest
from api_server import Kubectl, Refused
from harness import engines

engines.register()

from addons.loomworks_tenant.errors import InvalidQuantity  # noqa: E402  (only importable once registered)
from addons.loomworks_tenant.kube import quantity  # noqa: E402

pytestmark = pytest.mark.cluster

DECIMAL = ["", "n", "u", "m", "k", "M", "G", "T", "P", "E"]
BINARY = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"]
EXPONENTS = ["e0", "e3", "E6", "e+4", "E-1", "e-3", "E-9", "e18", "E+18"]
SUFFIXES = [*DECIMAL, *BINARY, *EXPONENTS]
NUMBERS = ["1", "7", "010", "1.5", "2.", ".5", "+3", "1023", "1024", "4096.125", "999999999", "12345678901234567"]
NOT_QUANTITIES = [
    "",
    "Gi",
    "10 Gi",
    "10GB",
    "10gi",
    "10K",
    "1ki",
    "1e",
    "1e3Gi",
    "1Gie3",
    "1e3E",
    "1Ee",
    "1E3.5",
    "1e+-3",
    "1nE",
    "1ni",
    "1ui",
    "1mi",
    "1ei",
    "1N",
    "1U",
    "1KI",
    "0x10",
    "1,5Gi",
    "inf",
    "--1",
]
NOT_SIZES = ["0", "0Gi", "-5Gi"]


def claim(number: int, size: str) -> dict[str, Any]:
    resources = {"requests": {"storage": size}}
    spec = {"accessModes": ["ReadWriteOnce"], "resources": resources, "storageClassName": "none"}
    metadata = {"name": f"probe-{number}", "namespace": "default"}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}


def dry_run(kubectl: Kubectl, *sizes: str) -> list[str]:
    """Return the sizes as the server would store them."""
    options = ["--server-side", "--dry-run=server", "--field-manager=test", "--output=json"]
    written = overlays.dumped([claim(number, size) for number, size in enumerate(sizes)])
    answer = json.loads(kubectl("apply", *options, "-f", "-", stdin=written))
    found = {item["metadata"]["name"]: item for item in answer.get("items", [answer])}
    return [found[f"probe-{number}"]["spec"]["resources"]["requests"]["storage"] for number in range(len(sizes))]


def samples() -> list[str]:
    """Every number with every suffix as far as it can be counted, and as many made up."""
    chance = random.Random(6)
    made = [f"{chance.randrange(1, 10**9)}.{chance.randrange(10**4)}" for _ in range(60)]
    texts = [number + suffix for number in NUMBERS for suffix in SUFFIXES]
    texts += [number + chance.choice(SUFFIXES) for number in made]
    return [text for text in texts if 1 <= quantity.parse(text) <= quantity.LARGEST]


def test_server_takes_what_we_take_and_it_is_worth_as_much(kubectl: Kubectl) -> None:
    texts = samples()
    stored = dry_run(kubectl, *texts)
    assert len(texts) > 200
    assert {suffix for suffix in SUFFIXES if any(text.endswith(suffix) for text in texts)} == set(SUFFIXES)
    assert {text: quantity.to_bytes(text) for text in texts} == dict(
        zip(texts, map(quantity.to_bytes, stored), strict=True)
    )


def test_what_we_write_is_what_the_server_stores(kubectl: Kubectl) -> None:
    """So a claim that has its size is never asked for it again."""
    written = [quantity.canonical(quantity.size(text)) for text in ("10G", "512M", "1.5T", "1Gi", "1536Mi", "3Ki")]
    assert dry_run(kubectl, *written) == written == ["10Gi", "512Mi", "1536Gi", "1Gi", "1536Mi", "3Ki"]


@pytest.mark.parametrize("text", NOT_QUANTITIES + NOT_SIZES)
def test_server_refuses_what_we_refuse(kubectl: Kubectl, text: str) -> None:
    with pytest.raises(InvalidQuantity):
        quantity.size(text)
    with pytest.raises(Refused):
        dry_run(kubectl, text)


@pytest.mark.parametrize("text", ["1n", "999999999n", "1u", "999u", "1m", "1e-9", "5E-1", ".5", "0.001Ki"])
def test_part_of_a_byte_is_a_byte_to_both(kubectl: Kubectl, text: str) -> None:
    (stored,) = dry_run(kubectl, text)
    assert quantity.to_bytes(stored) == quantity.to_bytes(text) >= 1


@pytest.mark.parametrize("text", ["8E", "7Ei", "9223372036854775807", "9.2E", "7.99Ei"])
def test_largest_sizes_are_counted_alike(kubectl: Kubectl, text: str) -> None:
    (stored,) = dry_run(kubectl, text)
    assert quantity.to_bytes(stored) == quantity.to_bytes(text) > 2**62
