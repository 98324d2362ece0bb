"""A run that has to come to its end in time: what has not begun by then is left out, and told as such.

pytest's plugin; the variable ``LOOMWORKS_TESTS_END`` (seconds since 1970) says until when tests begin.
"""

from __future__ import annotations

import os
import time

import pytest

VARIABLE = "LOOMWORKS_TESTS_END"
REASON = "no time was left for it"


def is_over() -> bool:
    """Tell whether nothing more is to begin."""
    return time.time() > float(os.environ.get(VARIABLE) or "inf")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Leave a test out before anything is made for it."""
    leave_out_if_over()


def leave_out_if_over() -> None:
    """End a test that takes many examples, too: what it has seen so far was well."""
    if is_over():
        pytest.skip(REASON)
