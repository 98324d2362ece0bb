"""Kubernetes' quantities: against its own client where that agrees, else against the server's rules."""

from fractions import Fraction

import pytest
from addons.loomworks_tenant.errors import InvalidQuantity
from addons.loomworks_tenant.kube import quantity
from hypothesis import given
from hypothesis import strategies as st
from kubernetes.utils.quantity import parse_quantity

GI = 1024**3
# No more digits than those of which the client's product has 28: beyond that it rounds.
NUMBERS = st.from_regex(r"[+-]?(0|[1-9][0-9]{0,5})(\.[0-9]{1,3})?", fullmatch=True)
SUFFIXES = st.sampled_from(["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"])


@given(NUMBERS, SUFFIXES)
def test_value_is_that_of_kubernetes_own_client(number, suffix):
    assert quantity.parse(number + suffix) == parse_quantity(number + suffix)


@given(st.integers(1, quantity.LARGEST))
def test_canonical_form_says_the_same_bytes(count):
    assert quantity.to_bytes(quantity.canonical(count)) == quantity.size(quantity.canonical(count)) == count


@given(st.integers(0, 2**62))
def test_readable_form_is_a_quantity_within_a_percent(count):
    assert quantity.to_bytes(quantity.readable(count)) == pytest.approx(count, rel=0.01, abs=1)


@pytest.mark.parametrize(
    ("text", "worth"),
    [
        ("2e3", 2000),
        ("1.5E3", 1500),
        ("1e-3", Fraction(1, 1000)),
        ("5.", 5),
        (".5Gi", GI // 2),
        ("1E", 10**18),
        ("1Ei", 2**60),
        ("0.1", Fraction(1, 10)),
        ("123456789.123456789Ei", Fraction(123456789123456789 * 2**60, 10**9)),
    ],
)
def test_value_is_exact_where_the_client_does_not_read_it(text, worth):
    assert Fraction(quantity.parse(text)) == worth


NO_QUANTITIES = """Gi|10 Gi|10GB|10gi|10K|1ki|1e|1e3Gi|1Gie3|0x10|1,5Gi|inf|1e9999999999|NaN|--1|.""".split("|")


@pytest.mark.parametrize("text", [*NO_QUANTITIES, "", " ", "1Gi\n", "\u0661Gi", "1" * 65])
def test_what_is_no_quantity_is_refused(text):
    with pytest.raises(InvalidQuantity, match="is no quantity") as caught:
        quantity.parse(text)
    assert "10Gi" in caught.value.hint


@pytest.mark.parametrize(
    ("typed", "count"),
    [
        ("10G", 10 * GI),
        ("10Gi", 10 * GI),
        (" 512M ", 512 * 1024**2),
        ("1T", 1024 * GI),
        ("1.5G", GI * 3 // 2),
        ("4k", 4096),
        ("1073741824", GI),
        ("1e9", 10**9),
        ("1E", 2**60),
    ],
)
def test_decimal_suffix_that_a_person_types_means_its_binary_neighbour(typed, count):
    assert quantity.size(typed) == count


@pytest.mark.parametrize(
    ("said", "count"), [("10G", 10**10), ("10Gi", 10 * GI), ("1500m", 2), ("1n", 1), ("1e-99999", 1), ("0", 0)]
)
def test_what_the_cluster_says_is_read_to_the_letter(said, count):
    assert quantity.to_bytes(said) == count


@pytest.mark.parametrize("typed", ["0", "0Gi", "-5Gi", "512m", "1u", "8Ei", "9E", "1e30", "1e999999999"])
def test_what_is_no_size_of_a_volume_is_refused(typed):
    with pytest.raises(InvalidQuantity):
        quantity.size(typed)


@pytest.mark.parametrize("text", ["0", "-1", "0Mi"])
def test_nothing_is_no_amount(text):
    with pytest.raises(InvalidQuantity, match="more than nothing"):
        quantity.amount(text)
