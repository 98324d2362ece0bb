"""The only place that reads a repository's objects."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from .errors import ObjectMissing, RepositoryDenied, RepositoryUnreachable
from .location import Location

CONNECT_TIMEOUT = 5  # seconds
READ_TIMEOUT = 30
ATTEMPTS = 4  # of each request, with growing pauses between them
CONNECTIONS = 16
PIECE = 4 * 1024 * 1024  # bytes of one request of those for a large object
AHEAD = 3  # such requests at once

_MISSING = {"NoSuchKey", "404"}
_DENIED = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "NoSuchBucket", "403"}
_SHORT = {"InvalidRange", "416"}


@dataclass(frozen=True)
class StoredObject:
    """One object: its name below the repository's path, and its size in bytes."""

    name: str
    size: int


class Store:
    """Reads the repository at ``location``; safe to use by several threads at once."""

    def __init__(self, location: Location) -> None:
        self.location = location
        self._client = boto3.session.Session().client(
            "s3",
            endpoint_url=location.url,
            region_name=location.region,
            aws_access_key_id=location.key,
            aws_secret_access_key=location.key_secret,
            verify=location.ca_file or None,
            config=Config(
                connect_timeout=CONNECT_TIMEOUT,
                read_timeout=READ_TIMEOUT,
                retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
                max_pool_connections=CONNECTIONS,
                s3={"addressing_style": "path"},
            ),
        )

    def read(self, name: str) -> bytes:
        """Return a whole object.

        :raises ObjectMissing, RepositoryDenied, RepositoryUnreachable: for what the store says
        """
        with self._translated(name):
            return self._get(name)["Body"].read()

    def read_range(self, name: str, offset: int, length: int) -> bytes:
        """Return ``length`` bytes of an object from ``offset`` on.

        :raises ObjectMissing: when it is not there, or too short
        """
        with self._translated(name):
            data = self._get(name, Range=f"bytes={offset}-{offset + length - 1}")["Body"].read()
        if len(data) != length:
            raise ObjectMissing(f"{name} ends {length - len(data)} bytes early in the repository")
        return data

    def pieces(self, name: str) -> Iterator[bytes]:
        """Yield a whole object in pieces; some are fetched ahead, however large it is.

        :raises ObjectMissing: when it is not there, is empty, or becomes shorter meanwhile
        """
        with self._translated(name):
            answer = self._get(name, Range=f"bytes=0-{PIECE - 1}")
            size = int(answer["ContentRange"].rpartition("/")[2])
            yield answer["Body"].read()
        coming: deque[Future[bytes]] = deque()
        with ThreadPoolExecutor(AHEAD, thread_name_prefix="pieces") as pool:
            for offset in range(PIECE, size, PIECE):
                coming.append(pool.submit(self.read_range, name, offset, min(PIECE, size - offset)))
                if len(coming) > AHEAD:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()

    def list(self, folder: str, start: str = "", *, deep: bool = True) -> Iterator[StoredObject]:
        """Yield every object below ``folder``, in the order of their names.

        :param start: only those whose names go on with this
        :param deep: whether to look into the folders in it, too
        """
        prefix = self.location.object_key(f"{folder.rstrip('/')}/{start}")
        root = len(self.location.object_key(""))
        options = {"Bucket": self.location.bucket, "Prefix": prefix, **({} if deep else {"Delimiter": "/"})}
        pages = self._client.get_paginator("list_objects_v2").paginate(**options)
        with self._translated(folder):
            for page in pages:
                for item in page.get("Contents", ()):
                    yield StoredObject(item["Key"][root:], item["Size"])

    def _get(self, name: str, **options: str) -> dict:
        return self._client.get_object(Bucket=self.location.bucket, Key=self.location.object_key(name), **options)

    @contextmanager
    def _translated(self, name: str) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            raise _refusal(code, name, self.location) from error
        except BotoCoreError as error:
            text = " ".join(str(error).split())
            hint = "Check that the object store runs and can be reached; it is asked again by itself."
            raise RepositoryUnreachable(
                f"the repository at {self.location.url} does not answer: {text}", hint
            ) from error


def _refusal(code: str, name: str, location: Location) -> Exception:
    if code in _MISSING:
        return ObjectMissing(f"{name} is not in the repository")
    if code in _SHORT:
        return ObjectMissing(f"{name} is shorter in the repository than its own list says")
    if code in _DENIED:
        return RepositoryDenied(
            f"the object store refuses {name} in the bucket {location.bucket}: {code}",
            "Check the repository's key, its secret and the bucket's policy.",
        )
    return RepositoryUnreachable(f"the object store answered {code or 'with an error'} to {name}")
