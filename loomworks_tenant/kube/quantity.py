"""Quantities in Kubernetes' notation: what they are worth, and how they are written.

The API server's rules (k8s.io/apimachinery/pkg/api/resource/quantity.go): a decimal number, then nothing, one of the
decimal suffixes ``n u m k M G T P E``, one of the binary ones ``Ki Mi Gi Ti Pi Ei``, or an exponent (``e3``, ``E-2``).

Sizes that people type (a plan's, a resize's) are read by :func:`size`: there a decimal suffix means its binary
neighbour, so that "10G" is 10Gi. Who writes so means that, and volumes are sold so. What the cluster says is read by
:func:`to_bytes`, to the letter: its "10G" is ten thousand million bytes.
"""

from __future__ import annotations

import re
from decimal import MAX_EMAX, MIN_EMIN, ROUND_CEILING, Context, Decimal

from ..errors import InvalidQuantity

LARGEST = 2**63 - 1  # bytes: what the API server itself can count
LONGEST = 64  # characters
EXACT = Context(prec=2 * LONGEST, Emin=MIN_EMIN, Emax=MAX_EMAX)  # no product below is ever rounded
DECIMAL = {
    suffix: Decimal(1).scaleb(3 * power) for power, suffix in enumerate(("n", "u", "m", "", *"kMGTPE"), start=-3)
}
BINARY = {suffix: Decimal(1024) ** power for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), start=1)}
NOTATION = re.compile(
    r"(?P<number>[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))"
    r"(?:(?P<suffix>[KMGTPE]i|[numkMGTPE]?)|[eE](?P<exponent>[+-]?[0-9]{1,9}))"
)
EXAMPLES = "Write it as Kubernetes does: 512Mi, 10Gi, 1.5Ti."
BINARY_NEIGHBOURS = {"k": "Ki", "M": "Mi", "G": "Gi", "T": "Ti", "P": "Pi", "E": "Ei"}
FINE = ("n", "u", "m")  # parts of a byte


def parse(text: str) -> Decimal:
    """Return what a quantity is worth, exactly, as the API server reads it.

    >>> parse("250m"), parse("1.5Gi"), parse("2e3")
    (Decimal('0.250'), Decimal('1610612736.0'), Decimal('2E+3'))

    :raises InvalidQuantity: when it is none
    """
    number, suffix, exponent = _split(text)
    if exponent is not None:
        return number.scaleb(exponent, EXACT)
    return EXACT.multiply(number, BINARY.get(suffix) or DECIMAL[suffix])


def amount(text: str) -> Decimal:
    """Return what a quantity of something is worth that there must be more than nothing of.

    :raises InvalidQuantity: when it is no quantity, or nothing
    """
    worth = parse(text)
    if worth <= 0:
        raise InvalidQuantity(f"“{text}” is not more than nothing", EXAMPLES)
    return worth


def to_bytes(text: str) -> int:
    """Return the bytes of a size that the cluster names; a part of a byte counts as one.

    >>> to_bytes("10G"), to_bytes("10Gi"), to_bytes("1500m")
    (10000000000, 10737418240, 2)

    :raises InvalidQuantity: when it is no quantity, or beyond what can be counted
    """
    return _whole(parse(text), text)


def size(text: str) -> int:
    """Return the bytes of a size that a person has typed: "10G" is 10Gi.

    >>> size("10G") == size("10Gi") == 10 * 1024**3
    True

    :raises InvalidQuantity: when it is no quantity, not more than nothing, or written in parts of a byte
    """
    text = text.strip()
    _number, suffix, exponent = _split(text)
    if suffix in FINE:
        raise InvalidQuantity(f"“{text}” is written in parts of a byte", EXAMPLES)
    neighbour = BINARY_NEIGHBOURS.get(suffix) if exponent is None else None
    found = to_bytes(text[: -len(suffix)] + neighbour if neighbour else text)
    if found <= 0:
        raise InvalidQuantity(f"“{text}” is no size: it must be more than nothing", EXAMPLES)
    return found


def canonical(count: int) -> str:
    """Write bytes exactly, with the largest binary suffix that fits.

    >>> canonical(10 * 1024**3), canonical(1536 * 1024**2), canonical(1000)
    ('10Gi', '1536Mi', '1000')
    """
    for suffix, unit in reversed(BINARY.items()):
        if count and count % int(unit) == 0:
            return f"{count // int(unit)}{suffix}"
    return str(count)


def readable(count: float) -> str:
    """Write bytes for people, to three digits; a quantity still.

    >>> readable(0), readable(1_234_567_890), readable(5 * 1024**3)
    ('0', '1.15Gi', '5Gi')
    """
    found = [(suffix, int(unit)) for suffix, unit in BINARY.items() if count >= int(unit)]
    suffix, unit = found[-1] if found else ("", 1)
    worth = count / unit
    digits = 0 if worth >= 100 or not suffix else 1 if worth >= 10 else 2
    number = f"{worth:.{digits}f}"
    return (number.rstrip("0").rstrip(".") if "." in number else number) + suffix


def _split(text: str) -> tuple[Decimal, str, int | None]:
    match = NOTATION.fullmatch(text) if len(text) <= LONGEST else None
    if match is None:
        raise InvalidQuantity(f"“{text[:LONGEST]}” is no quantity", EXAMPLES)
    exponent = match["exponent"]
    return Decimal(match["number"]), match["suffix"] or "", None if exponent is None else int(exponent)


def _whole(worth: Decimal, text: str) -> int:
    if worth.copy_abs() > LARGEST:
        raise InvalidQuantity(f"“{text}” is more than can be counted", EXAMPLES)
    if worth.adjusted() < -LONGEST:
        return 1 if worth > 0 else 0
    return int(worth.to_integral_value(ROUND_CEILING))
