"""The stack's authority: what it signs, and when it signs anew."""

import ssl

import pytest
from stack import pki, registry, shell
from stack.pki import Certificate


def subject_names(path):
    shown = shell.run(["openssl", "x509", "-in", path, "-noout", "-subject", "-ext", "subjectAltName"])
    return shown.replace(" ", "")


@pytest.fixture
def folder(settings):
    """A complete set of certificates."""
    return pki.ensure(settings)


def test_extensions_name_addresses_and_hosts():
    text = Certificate("x", "x", names=("db.example", "10.0.0.1")).extensions()
    assert "subjectAltName=DNS:db.example,IP:10.0.0.1" in text
    assert "extendedKeyUsage=clientAuth,serverAuth" in text


def test_client_certificate_serves_nobody():
    assert "serverAuth" not in Certificate("x", "x").extensions()


def test_subject_carries_the_group():
    assert Certificate("x", "system:node:n", "system:nodes").subject() == "/O=system:nodes/CN=system:node:n"


def test_every_certificate_is_signed_by_the_authority(folder):
    for certificate in pki.certificates():
        shell.run(["openssl", "verify", "-CAfile", folder / "ca.crt", folder / f"{certificate.name}.crt"])


def test_postgres_certificate_carries_its_service_names(folder):
    assert "DNS:postgres.loomworks.svc.cluster.local" in subject_names(folder / "postgres.crt")


def test_keys_are_for_their_owner_only(folder):
    assert folder.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.glob("*.key"))


def test_second_run_changes_nothing(settings, folder):
    before = {path: path.read_bytes() for path in folder.glob("*.crt")}
    pki.ensure(settings)
    assert {path: path.read_bytes() for path in folder.glob("*.crt")} == before


def test_certificate_about_to_expire_is_renewed(settings, folder, monkeypatch):
    before = (folder / "s3.crt").read_bytes()
    monkeypatch.setattr(pki, "RENEW_BEFORE", (pki.LIFETIME + 1) * 24 * 3600)
    pki.ensure(settings)
    assert (folder / "s3.crt").read_bytes() != before


def test_new_authority_signs_everything_anew(settings, folder):
    before = (folder / "s3.crt").read_bytes()
    (folder / "ca.crt").unlink()
    pki.ensure(settings)
    assert (folder / "s3.crt").read_bytes() != before


def test_client_folder_has_what_buildah_reads(settings, folder):
    made = registry.client_certificates(settings)
    assert {path.name for path in made.iterdir()} == {"ca.crt", "client.cert", "client.key"}
    context = ssl.create_default_context(cafile=str(made / "ca.crt"))
    context.load_cert_chain(made / "client.cert", made / "client.key")
