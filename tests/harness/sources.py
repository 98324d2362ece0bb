"""The bucket of sources of imports, as who puts them there reaches it."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import boto3
from stack import s3
from stack.settings import BRIDGE_ADDRESS, S3_PORT


def client_of(secret: Callable[[str], str], folder: Path) -> Any:
    """Return a client of the stack's S3 server; ``secret`` reads a value of the Secret of an account."""
    (folder / "ca.crt").write_text(secret("ca.crt"))
    return boto3.client(
        "s3",
        endpoint_url=f"https://{BRIDGE_ADDRESS}:{S3_PORT}",
        region_name=s3.REGION,
        verify=str(folder / "ca.crt"),
        aws_access_key_id=secret("key"),
        aws_secret_access_key=secret("key-secret"),
    )


class Sources:
    """A folder of that bucket."""

    def __init__(self, client: Any) -> None:
        self._client, self.prefix = client, f"test-{secrets.token_hex(4)}"

    def put(self, name: str, content: bytes) -> str:
        """Write an object; return what an import calls it."""
        self._client.put_object(Bucket=s3.IMPORTS_BUCKET, Key=f"{self.prefix}/{name}", Body=content)
        return f"{self.prefix}/{name}"

    def put_folder(self, name: str, files: Mapping[str, bytes]) -> str:
        """Write files below a folder's filestore; return what an import calls the folder."""
        for path, content in files.items():
            self.put(f"{name}/filestore/{path}", content)
        return f"{self.prefix}/{name}"

    def listed(self) -> dict[str, tuple[Any, ...]]:
        """Return all that can be seen of the objects, and the digest of each content."""
        found = self._client.list_objects_v2(Bucket=s3.IMPORTS_BUCKET, Prefix=f"{self.prefix}/").get("Contents", [])
        return {one["Key"]: (one["ETag"], one["Size"], one["LastModified"], self._digest(one["Key"])) for one in found}

    def clear(self) -> None:
        """Remove all of them."""
        for key in self.listed():
            self._client.delete_object(Bucket=s3.IMPORTS_BUCKET, Key=key)

    def _digest(self, key: str) -> str:
        body = self._client.get_object(Bucket=s3.IMPORTS_BUCKET, Key=key)["Body"]
        return hashlib.sha256(body.read()).hexdigest()
