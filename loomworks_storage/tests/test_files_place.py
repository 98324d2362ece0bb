"""Where files go: what the deployment says, and how it is kept."""

import os
from unittest.mock import patch

from odoo.addons.loomworks_tenant.tests.common import TenantCase
from odoo.tests import tagged

OWN = {
    "LOOMWORKS_DOMAIN": "own.test",
    "LOOMWORKS_PUBLIC_URL": "https://own.test",
    "LOOMWORKS_ODOO_IMAGE": "loomworks-odoo",
    "LOOMWORKS_DATABASE_HOST": "postgres",
    "PROVISIONER_PASSWORD_FILE": "/etc/loomworks/database/provisioner-password",
}
PLACE = {
    "LOOMWORKS_FILESTORE_S3_ENDPOINT": "s3.own.test:8333",
    "LOOMWORKS_FILESTORE_S3_BUCKET": "files",
    "LOOMWORKS_FILESTORE_S3_REGION": "region",
    "FILESTORE_SECRETS_DIR": "/etc/filestore-s3",
}


@tagged("post_install", "-at_install")
class TestFilesPlace(TenantCase):
    def test_deployment_says_where_its_files_go(self):
        with patch.dict(os.environ, {**OWN, **PLACE}):
            cluster = self.env["loomworks.cluster"]._ensure_own()
        place = cluster._files_place()
        self.assertEqual((place.bucket, place.port, place.ca_file), ("files", 8333, ""))
        self.assertEqual(place.key_secret_reference, "file:/etc/filestore-s3/key-secret")

    def test_cluster_without_an_account_has_no_place(self):
        with patch.dict(os.environ, OWN):
            cluster = self.env["loomworks.cluster"]._ensure_own()
        self.assertIsNone(cluster._files_place())
        cluster.write({"files_endpoint": "s3", "files_bucket": "files", "files_region": "region"})
        self.assertIsNone(cluster._files_place())
