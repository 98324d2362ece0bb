"""The control plane's own way into a repository."""

import os
from unittest.mock import patch

from odoo.addons.loomworks_tenant.errors import SecretUnavailable
from odoo.addons.loomworks_tenant.tests.common import TenantCase
from odoo.exceptions import ValidationError
from odoo.tests import tagged

from ..repository.errors import RepositoryUnset
from ..repository.location import Location

SECRETS = {"TEST_KEY": "the key", "TEST_SECRET": "the secret", "TEST_PASS": "the passphrase"}
PLACE = {
    "repository_endpoint": "s3.example.test",
    "repository_bucket": "backups",
    "repository_region": "eu-west-1",
    "repository_key_reference": "env:TEST_KEY",
    "repository_key_secret_reference": "env:TEST_SECRET",
    "repository_cipher_pass_reference": "env:TEST_PASS",
}
OWN = {
    "LOOMWORKS_DOMAIN": "own.test",
    "LOOMWORKS_PUBLIC_URL": "https://own.test",
    "LOOMWORKS_ODOO_IMAGE": "odoo:1",
    "LOOMWORKS_DATABASE_HOST": "postgres.test",
    "PROVISIONER_PASSWORD_FILE": "/etc/provisioner",
}
REPOSITORY = {
    "PGBACKREST_REPO1_S3_ENDPOINT": "s3.own.test:8333",
    "PGBACKREST_REPO1_S3_BUCKET": "pgbackrest",
    "PGBACKREST_REPO1_S3_REGION": "us-east-1",
    "PGBACKREST_REPO1_STORAGE_CA_FILE": "/etc/pgbackrest-s3/ca.crt",
    "REPOSITORY_SECRETS_DIR": "/etc/pgbackrest-s3",
}


@tagged("post_install", "-at_install")
class TestRepository(TenantCase):
    def test_location_is_read_by_reference(self):
        self.server.write({**PLACE, "stanza": "cell7"})
        with patch.dict(os.environ, SECRETS):
            location = self.server._repository_location()
        expected = Location(
            "s3.example.test", "backups", "eu-west-1", "the key", "the secret", "the passphrase", stanza="cell7"
        )
        self.assertEqual(location, expected)
        self.assertNotIn("the secret", repr(location))

    def test_store_is_made_once_for_a_location(self):
        self.server.write(PLACE)
        with patch.dict(os.environ, SECRETS):
            self.assertIs(self.server._repository_store(), self.server._repository_store())

    def test_missing_secret_is_named(self):
        self.server.write(PLACE)
        with self.assertRaisesRegex(SecretUnavailable, "TEST_KEY"):
            self.server._repository_location()

    def test_repository_that_is_not_set_says_what_is_missing(self):
        with self.assertRaisesRegex(RepositoryUnset, "db1 is not set: Endpoint, Bucket"):
            self.server._repository_location()

    def test_secret_itself_is_refused_as_a_reference(self):
        with self.assertRaises(ValidationError):
            self.server.repository_cipher_pass_reference = "correct horse battery staple"

    def test_deployment_says_where_the_own_servers_repository_is(self):
        with patch.dict(os.environ, {**OWN, **REPOSITORY}):
            self.env["loomworks.cluster"]._ensure_own()
        server = self.env.ref("loomworks_tenant.own_server")
        self.assertEqual(server.repository_endpoint, "s3.own.test:8333")
        self.assertEqual(server.repository_ca_file, "/etc/pgbackrest-s3/ca.crt")
        self.assertEqual(server.repository_path, "/pgbackrest")
        self.assertEqual(server.repository_key_secret_reference, "file:/etc/pgbackrest-s3/key-secret")
        self.assertEqual(server.repository_cipher_pass_reference, "file:/etc/pgbackrest-s3/cipher-pass")

    def test_deployment_without_s3_says_nothing(self):
        with patch.dict(os.environ, OWN):
            self.env["loomworks.cluster"]._ensure_own()
        self.assertFalse(self.env.ref("loomworks_tenant.own_server").repository_endpoint)
