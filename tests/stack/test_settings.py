"""Where the stack lives, and what it keeps: settings, cache, secrets."""

import threading

import pytest
from stack import cache, secrets
from stack.settings import REPOSITORY, Settings


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch):
    """No variable of the caller's shell is seen."""
    for name in ("KUBECONFIG", "LOOMWORKS_STATE", "LOOMWORKS_CACHE", "LOOMWORKS_REGISTRY", "LOOMWORKS_DOMAIN"):
        monkeypatch.delenv(name, raising=False)


def test_state_is_in_the_checkout():
    assert Settings.from_environment().state == REPOSITORY / "build" / "dev"


def test_own_kubeconfig_is_no_other_cluster(monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(REPOSITORY / "build" / "dev" / "kubeconfig"))
    assert Settings.from_environment().external_kubeconfig is None


def test_other_kubeconfig_is_used(monkeypatch, tmp_path):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    settings = Settings.from_environment()
    assert settings.kubeconfig == tmp_path / "config"


def test_digest_follows_content_and_names(tmp_path):
    (tmp_path / "a").write_text("1")
    first = cache.digest([tmp_path])
    (tmp_path / "a").rename(tmp_path / "b")
    second = cache.digest([tmp_path])
    (tmp_path / "b").write_text("2")
    assert len({first, second, cache.digest([tmp_path])}) == 3


def test_digest_tells_parts_apart():
    assert cache.digest(["ab", "c"]) != cache.digest(["a", "bc"])


def test_cached_thing_is_built_once(tmp_path):
    calls = []
    for _ in range(2):
        folder = cache.built(tmp_path, "thing", "k", calls.append)
    assert calls == [folder]


def test_broken_build_starts_anew(tmp_path):
    def breaks(folder):
        (folder / "half").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.built(tmp_path, "thing", "k", breaks)
    folder = cache.built(tmp_path, "thing", "k", lambda target: (target / "whole").touch())
    assert {path.name for path in folder.iterdir()} == {"whole", cache.MARK}


def test_two_at_once_build_once(tmp_path):
    calls = []
    threads = [threading.Thread(target=cache.built, args=(tmp_path, "thing", "k", calls.append)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1


def test_secrets_stay_and_are_for_their_owner_only(settings):
    first = secrets.ensure(settings, "postgres-credentials")
    assert secrets.ensure(settings, "postgres-credentials") == first
    assert first["provisioner-password"] != first["control-password"]
    files = list((settings.state / "secrets").rglob("*"))
    assert all(path.stat().st_mode & 0o077 == 0 for path in files)
