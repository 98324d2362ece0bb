"""Where the product goes, with an existing cluster and without."""

import dataclasses
import json

import pytest
from stack import deploy, kubectl, target
from stack.errors import StackError

GIVEN = {
    "LOOMWORKS_S3_ENDPOINT": "https://s3.example",
    "LOOMWORKS_S3_BUCKET": "backups",
    "LOOMWORKS_S3_REGION": "eu-1",
    "LOOMWORKS_S3_KEY": "k",
    "LOOMWORKS_S3_KEY_SECRET": "s",
}


@pytest.fixture
def existing(settings, monkeypatch, tmp_path):
    """Settings for an existing cluster that is described in full."""
    for name in ("LOOMWORKS_STORAGE_CLASS", "LOOMWORKS_EDGE", "LOOMWORKS_S3_CA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in GIVEN.items():
        monkeypatch.setenv(name, value)
    there = {"registry": "registry.example/lw", "domain": "lw.example"}
    return dataclasses.replace(settings, external_kubeconfig=tmp_path / "config", **there)


@pytest.fixture
def classes(monkeypatch):
    """The storage classes that the cluster has; tests add to them."""
    made = []
    monkeypatch.setattr(kubectl, "run", lambda *arguments, **options: json.dumps({"items": made}))
    return made


def storage_class(name, default):
    annotations = {"storageclass.kubernetes.io/is-default-class": default}
    return {"metadata": {"name": name, "annotations": annotations}}


def test_embedded_cluster_needs_no_description(settings):
    assert target.configuration(settings) == {}
    assert target.edge(settings) == f"127.0.0.1:{settings.edge_port}"
    assert target.address(settings) == f"http://{settings.domain}:{settings.edge_port}"


def test_existing_cluster_needs_a_registry(existing, settings):
    with pytest.raises(StackError, match="LOOMWORKS_REGISTRY"):
        target.check(dataclasses.replace(existing, registry=settings.registry))


def test_existing_cluster_needs_a_place_for_backups(existing, monkeypatch):
    monkeypatch.delenv("LOOMWORKS_S3_BUCKET")
    monkeypatch.delenv("LOOMWORKS_S3_KEY")
    with pytest.raises(StackError, match=r"not set: LOOMWORKS_S3_BUCKET, LOOMWORKS_S3_KEY$"):
        target.check(existing)


def test_existing_cluster_needs_a_domain(existing, settings, monkeypatch):
    monkeypatch.setattr(kubectl, "run", lambda *arguments, **options: "10.1.2.3")
    with pytest.raises(StackError, match="LOOMWORKS_DOMAIN") as refused:
        target.check(dataclasses.replace(existing, domain=settings.domain))
    assert "10.1.2.3.nip.io" in str(refused.value)
    target.check(existing)


def test_default_storage_class_is_taken(existing, classes):
    classes += [storage_class("slow", "false"), {"metadata": {"name": "bare"}}, storage_class("fast", "true")]
    assert target.configuration(existing)["loomworks-config"] == {"LOOMWORKS_STORAGE_CLASS": "fast"}


def test_cluster_without_default_storage_class_is_told_so(existing, classes):
    with pytest.raises(StackError, match="no default storage class"):
        target.configuration(existing)


def test_given_storage_class_goes_into_the_manifests(existing, monkeypatch):
    monkeypatch.setenv("LOOMWORKS_STORAGE_CLASS", "gp3")
    monkeypatch.setenv("LOOMWORKS_EDGE", "edge.example:80")
    images = {name: f"registry.example/lw/{name}:1" for name in ("loomworks-odoo", "loomworks-postgres")}
    made = deploy.kustomization(existing, images, "overlay")
    maps = {one["name"]: one["literals"] for one in made["configMapGenerator"]}
    assert "LOOMWORKS_STORAGE_CLASS=gp3" in maps["loomworks-config"]
    assert f"LOOMWORKS_PUBLIC_URL=http://{existing.domain}:80" in maps["loomworks-config"]
    assert "PGBACKREST_REPO1_S3_ENDPOINT=https://s3.example" in maps["pgbackrest-config"]


def test_backup_account_is_the_given_one(existing, monkeypatch, tmp_path):
    (tmp_path / "ca").write_text("authority")
    monkeypatch.setenv("LOOMWORKS_S3_CA", str(tmp_path / "ca"))
    account = target.backup_account(existing)
    assert (account["key"], account["key-secret"], account["ca.crt"]) == ("k", "s", "authority")
    assert account["cipher-pass"]


def test_files_have_the_account_of_the_backups_unless_one_is_given(existing, monkeypatch, tmp_path):
    (tmp_path / "ca").write_text("authority")
    monkeypatch.setenv("LOOMWORKS_S3_CA", str(tmp_path / "ca"))
    assert target.files_account(existing) == {"key": "k", "key-secret": "s", "ca.crt": "authority"}
    monkeypatch.setenv("LOOMWORKS_FILES_S3_KEY", "own")
    monkeypatch.setenv("LOOMWORKS_FILES_S3_KEY_SECRET", "own secret")
    account = target.files_account(existing)
    assert (account["key"], account["key-secret"]) == ("own", "own secret")
