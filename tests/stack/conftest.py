"""Tests of the embedded stack: pure functions anywhere, volumes on the running cluster (marker ``cluster``)."""

import dataclasses

import pytest
from stack.settings import Settings


@pytest.fixture
def settings(tmp_path):
    """Settings of a stack that is not there."""
    made = Settings.from_environment()
    folders = {"state": tmp_path / "state", "cache": tmp_path / "cache"}
    return dataclasses.replace(made, **folders, external_kubeconfig=None)
