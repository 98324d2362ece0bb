"""The S3 client of botocore, made without what only AWS's other services and regions need.

A Job lives for a second, and half of that botocore took to list the folders of 400 services, to read the addresses of
all of them (1.2 MB of JSON), to make a method of each of S3's operations, and to make much of each object in a list.
"""

from __future__ import annotations

from typing import Any

import botocore.session
from botocore.config import Config
from botocore.loaders import Loader

from .location import Location

CONNECTIONS = 32

_OPERATIONS = frozenset(
    """
    AbortMultipartUpload CompleteMultipartUpload CreateMultipartUpload DeleteObject GetObject HeadObject ListObjectsV2
    PutObject UploadPart
    """.split()
)
# As botocore's endpoints.json has it, without the regions: the address is always given, and regions are names then.
_ENDPOINTS = {
    "version": 3,
    "partitions": [
        {
            "partition": "aws",
            "dnsSuffix": "amazonaws.com",
            "regionRegex": ".*",
            "defaults": {
                "hostname": "{service}.{region}.{dnsSuffix}",
                "protocols": ["https"],
                "signatureVersions": ["v4"],
            },
            "regions": {},
            "services": {
                "s3": {"defaults": {"protocols": ["http", "https"], "signatureVersions": ["s3v4"]}, "endpoints": {}}
            },
        }
    ],
}

# What a list tells of an object: the time as text, since botocore takes longer to read one than the server to list it.
_SHAPES = {
    "Object": {
        "type": "structure",
        "members": {"Key": {"shape": "ObjectKey"}, "LastModified": {"shape": "Text"}, "Size": {"shape": "Size"}},
    },
    "Text": {"type": "string"},
}


class _OnlyS3(Loader):
    """Finds the model of S3 without looking for any other, and of that what the store uses."""

    def list_available_services(self, type_name: str) -> list[str]:
        return ["s3"]

    def load_data_with_path(self, name: str) -> tuple[Any, str]:
        return (_ENDPOINTS, self.BUILTIN_DATA_PATH) if name == "endpoints" else super().load_data_with_path(name)

    def load_service_model(self, service_name: str, type_name: str, api_version: str | None = None) -> dict[str, Any]:
        model = super().load_service_model(service_name, type_name, api_version)
        if type_name != "service-2":
            return model
        used = {name: one for name, one in model["operations"].items() if name in _OPERATIONS}
        return {**model, "operations": used, "shapes": {**model["shapes"], **_SHAPES}}


def client(location: Location, *, connect_timeout: float, read_timeout: float, attempts: int) -> Any:
    """Return a client for ``location``; timeouts in seconds, ``attempts`` of each request.

    It knows the operations that the store uses. Its lists say of each object name, size in bytes, and ISO 8601 time.
    """
    session = botocore.session.get_session()
    session.register_component("data_loader", _OnlyS3())
    return session.create_client(
        "s3",
        endpoint_url=location.url,
        region_name=location.region,
        aws_access_key_id=location.key,
        aws_secret_access_key=location.key_secret,
        verify=location.ca_file or None,
        config=Config(
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
            retries={"mode": "standard", "total_max_attempts": attempts},
            max_pool_connections=CONNECTIONS,
            s3={"addressing_style": "path", "us_east_1_regional_endpoint": "regional"},
            # Newer checksums are not known to every store. Content-MD5 is, and is given with all that is written.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )
