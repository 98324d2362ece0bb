"""A store that is full, overloaded or slow in the middle of a run: a clear state, and the next run goes on."""

import os
from dataclasses import replace

import pytest
from addons.loomworks_storage.filestore import pack
from addons.loomworks_storage.filestore import store as stores
from addons.loomworks_storage.filestore.backup import Backup
from addons.loomworks_storage.filestore.check import check
from addons.loomworks_storage.filestore.errors import StoreFull, StoreUnreachable
from addons.loomworks_storage.filestore.restore import Restore
from addons.loomworks_storage.filestore.store import Store
from addons.loomworks_storage.filestore.vault import Vault
from filestores import a_folder, contents
from troubled import before

LARGE = [os.urandom(pack.SMALL + number) for number in range(1, 5)]  # an object each
SMALL = [f"file {number}".encode() for number in range(10)]


@pytest.fixture
def folder(tmp_path):
    return a_folder(tmp_path / "t_one", *LARGE, *SMALL)


@pytest.fixture
def proxied(s3, location, key):
    """The vault through a proxy, and the trouble that this can make."""
    with before(s3) as (endpoint, trouble):
        yield Vault(Store(replace(location, endpoint=endpoint, ca_file="")), key), trouble


def back_up(vault, folder, name="first", threads=2):
    return Backup(vault, folder, patience=(), few=1, threads=threads).run(name, "t_one")


def assert_comes_back(vault, folder, tmp_path):
    """Every object is as it should be, and a restore brings back what the folder has."""
    manifest, target = vault.manifest("first"), a_folder(tmp_path / "restored")
    assert check(vault, manifest, sample=None).whole
    assert Restore(vault, target).run(manifest).whole
    assert contents(target) == contents(folder)


def contents_written(trouble):
    return [path for method, path in trouble.seen if method == "PUT" and "/objects/" in path]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((507, "InsufficientStorage"), StoreFull),
        ((403, "QuotaExceeded"), StoreFull),
        ((503, "SlowDown"), StoreUnreachable),
    ],
    ids=["full", "quota", "overloaded"],
)
def test_writes_that_are_refused_in_the_middle_end_the_run_and_the_next_goes_on(
    vault, proxied, folder, tmp_path, monkeypatch, answer, error
):
    monkeypatch.setattr(stores, "ATTEMPTS", 1)
    through, trouble = proxied
    through = Vault(Store(through.store.location), through._key)
    trouble.answer = lambda method, path, number: (
        answer if method == "PUT" and "/objects/" in path and len(contents_written(trouble)) > 2 else None
    )
    with pytest.raises(error):
        back_up(through, folder, threads=1)
    assert not vault.manifests()
    there = len(dict(vault.objects()))
    assert 0 < there < len(LARGE)
    trouble.answer = lambda method, path, number: None
    report = back_up(through, folder)
    assert (report.uploaded, report.there) == (len(LARGE) + len(SMALL) - there, there)
    assert_comes_back(vault, folder, tmp_path)


def test_a_store_that_is_overloaded_now_and_then_is_asked_again(vault, proxied, folder):
    through, trouble = proxied
    trouble.answer = lambda method, path, number: (503, "SlowDown") if number % 3 == 1 else None
    report = back_up(through, folder)
    assert (report.uploaded, report.whole) == (len(LARGE) + len(SMALL), True)
    trouble.answer = lambda method, path, number: None
    assert check(vault, vault.manifest("first"), sample=None).whole


def test_a_slow_store_is_waited_for(vault, proxied, folder, tmp_path):
    through, trouble = proxied
    trouble.delay = 0.2
    assert back_up(through, folder).uploaded == len(LARGE) + len(SMALL)
    assert_comes_back(through, folder, tmp_path)


def test_a_lease_that_could_not_be_given_back_is_no_hindrance(vault, proxied, folder):
    through, trouble = proxied
    trouble.answer = lambda method, path, number: (503, "SlowDown") if method == "DELETE" else None
    assert back_up(through, folder).whole
    assert [one.name for one in vault.store.list("leases")]
    assert back_up(vault, folder, "second").whole
