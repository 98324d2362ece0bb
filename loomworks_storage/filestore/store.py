"""The only place that talks to the object store of the filestores."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from .client import client
from .errors import ObjectMissing, ObjectShort, StoreDenied, StoreFull, StoreUnreachable
from .location import TENANTS, Location

CONNECT_TIMEOUT = 5  # seconds
READ_TIMEOUT = 60
ATTEMPTS = 4  # of each request, with growing pauses between them
BODIES = 3  # how often an answer is asked for that breaks off half-way
SOON_READ_TIMEOUT = 5  # seconds: where a person waits, a worker of the control plane does as well
SOON_ATTEMPTS = 2

_MISSING = {"NoSuchKey", "404"}
_SHORT = {"InvalidRange", "416"}
_DENIED = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "NoSuchBucket", "403"}
_FULL = {"InsufficientStorage", "QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "507"}
# Another writer was first (412), or is writing the same name just now (409).
_THERE = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}


@dataclass(frozen=True)
class StoredObject:
    """One object: its name below the tenant's prefix, its size in bytes, and when it was written."""

    name: str
    size: int
    modified: datetime


class Store:
    """The objects at ``location``; safe to use by several threads at once.

    Every method raises StoreUnreachable, StoreFull or StoreDenied for what the store says.

    :param soon: a person waits: each request is answered within seconds, or given up
    """

    def __init__(self, location: Location, *, soon: bool = False) -> None:
        self.location = location
        self._bodies = 1 if soon else BODIES
        read_timeout, attempts = (SOON_READ_TIMEOUT, SOON_ATTEMPTS) if soon else (READ_TIMEOUT, ATTEMPTS)
        self._client = client(location, connect_timeout=CONNECT_TIMEOUT, read_timeout=read_timeout, attempts=attempts)

    def put(self, name: str, data: bytes, *, replace: bool = False) -> bool:
        """Write an object in one piece; tell whether it was written: one that is there stays, unless ``replace``."""
        with self._translated(name), _unless_there() as outcome:
            self._client.put_object(**self._at(name), Body=data, ContentMD5=_md5(data), **_condition(replace))
            outcome.written = True
        return outcome.written

    def put_parts(self, name: str, parts: Iterable[bytes], *, replace: bool = False) -> bool:
        """Write an object of several parts, each but the last of at least 5 MiB, as :meth:`put` does.

        It exists when all parts are there, and not before; when ``parts`` raises, it never does.
        """
        with self._translated(name):
            upload = {**self._at(name), "UploadId": self._client.create_multipart_upload(**self._at(name))["UploadId"]}
            outcome = _Outcome()
            try:
                known = [self._put_part(upload, number, data) for number, data in enumerate(parts, 1)]
                with _unless_there(outcome):
                    self._client.complete_multipart_upload(
                        **upload, MultipartUpload={"Parts": known}, **_condition(replace)
                    )
                    outcome.written = True
            finally:
                if not outcome.written:
                    with suppress(ClientError, BotoCoreError):  # the bucket's life cycle removes what stays
                        self._client.abort_multipart_upload(**upload)
        return outcome.written

    def read(self, name: str) -> bytes:
        """Return a whole object.

        :raises ObjectMissing: when it is not there
        """
        with self._translated(name):
            return self._body(name)

    def read_parts(self, name: str, size: int, part: int) -> Iterator[bytes]:
        """Yield the first ``size`` bytes of an object, ``part`` bytes at a time.

        :raises ObjectMissing: when it is not there, or shorter than the part asked for begins
        """
        for offset in range(0, size, part):
            yield self.read_range(name, offset, min(part, size - offset))

    def read_range(self, name: str, offset: int, size: int) -> bytes:
        """Return ``size`` bytes of an object; fewer where it ends before that.

        :raises ObjectMissing: when it is not there; ObjectShort when it ends before ``offset``
        """
        with self._translated(name):
            return self._body(name, Range=f"bytes={offset}-{offset + size - 1}")

    def size(self, name: str) -> int:
        """Return an object's size in bytes.

        :raises ObjectMissing: when it is not there
        """
        with self._translated(name):
            return self._client.head_object(**self._at(name))["ContentLength"]

    def list(self, folder: str) -> Iterator[StoredObject]:
        """Yield every object below ``folder`` (empty: every one there is), in the order of their names."""
        root = len(self.location.object_key(""))
        prefix = self.location.object_key(f"{folder}/" if folder else "")
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.location.bucket, Prefix=prefix)
        with self._translated(folder):
            for page in pages:
                for item in page.get("Contents", ()):
                    yield StoredObject(item["Key"][root:], item["Size"], datetime.fromisoformat(item["LastModified"]))

    def is_used(self) -> bool:
        """Tell whether there is any object below the tenant's prefix."""
        with self._translated(self.location.tenant):
            prefix = self.location.object_key("")
            found = self._client.list_objects_v2(Bucket=self.location.bucket, Prefix=prefix, MaxKeys=1)
        return bool(found.get("Contents"))

    def tenants(self) -> Iterator[str]:
        """Yield the names directly below the folder of all tenants, one request for a thousand of them."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self.location.bucket, Prefix=TENANTS, Delimiter="/"
        )
        with self._translated(TENANTS):
            for page in pages:
                for item in page.get("CommonPrefixes", ()):
                    yield item["Prefix"].removeprefix(TENANTS).rstrip("/")

    def delete(self, name: str) -> None:
        """Have an object not be there."""
        with self._translated(name):
            self._client.delete_object(**self._at(name))

    def _body(self, name: str, **options: str) -> bytes:
        for left in reversed(range(self._bodies)):
            answer = self._client.get_object(**self._at(name), **options)
            try:
                return answer["Body"].read()
            except BotoCoreError:
                if not left:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def _put_part(self, upload: dict[str, str], number: int, data: bytes) -> dict[str, Any]:
        answer = self._client.upload_part(**upload, PartNumber=number, Body=data, ContentMD5=_md5(data))
        return {"PartNumber": number, "ETag": answer["ETag"]}

    def _at(self, name: str) -> dict[str, str]:
        return {"Bucket": self.location.bucket, "Key": self.location.object_key(name)}

    @contextmanager
    def _translated(self, name: str) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            raise _refusal(code, name, self.location) from error
        except BotoCoreError as error:
            text = " ".join(str(error).split())
            hint = "Check that the object store runs and can be reached, and run it again: what is done stays done."
            raise StoreUnreachable(f"the object store at {self.location.url} does not answer: {text}", hint) from error


@dataclass
class _Outcome:
    written: bool = False


@contextmanager
def _unless_there(outcome: _Outcome | None = None) -> Iterator[_Outcome]:
    try:
        yield (outcome := outcome or _Outcome())
    except ClientError as error:
        if str(error.response.get("Error", {}).get("Code", "")) not in _THERE:
            raise


def _condition(replace: bool) -> dict[str, str]:
    return {} if replace else {"IfNoneMatch": "*"}


def _md5(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


def _refusal(code: str, name: str, location: Location) -> Exception:
    if code in _MISSING:
        return ObjectMissing(f"{name} is not in the object store")
    if code in _SHORT:
        return ObjectShort(f"{name} ends before what is asked for")
    if code in _DENIED:
        return StoreDenied(
            f"the object store refuses {name} in the bucket {location.bucket}: {code}",
            "Check the account, its secret and the bucket's policy.",
        )
    if code in _FULL:
        return StoreFull(
            f"the object store has no room for {name}: {code}",
            "Give the bucket more room and run it again: what is done stays done.",
        )
    return StoreUnreachable(
        f"the object store answered {code or 'with an error'} to {name}", "Run it again: what is done stays done."
    )
