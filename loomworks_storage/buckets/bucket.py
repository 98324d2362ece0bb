"""A bucket's settings, as the object store tells them: the only place that asks for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from ..filestore.errors import StoreDenied, StoreUnreachable

CONNECT_TIMEOUT = 5  # seconds
READ_TIMEOUT = 5  # seconds: a person may wait, and with them a worker of the control plane
ATTEMPTS = 2

Answer = dict[str, Any]

# What a store says that has no such setting; everything else that is refused is not known.
_UNSET = {
    "ServerSideEncryptionConfigurationNotFoundError",
    "NoSuchLifecycleConfiguration",
    "ObjectLockConfigurationNotFoundError",
}
_NO_BUCKET = {"NoSuchBucket", "404"}
_NO_ACCOUNT = {"InvalidAccessKeyId", "SignatureDoesNotMatch"}


@dataclass(frozen=True)
class Bucket:
    """A bucket and how to get in; ``prefix`` is that of the objects that have to stay there."""

    url: str
    name: str
    region: str
    prefix: str
    key: str = field(repr=False)
    key_secret: str = field(repr=False)
    ca_file: str = ""


@dataclass(frozen=True)
class Unknown:
    """The store does not tell a setting, and why."""

    reason: str


@dataclass(frozen=True)
class Settings:
    """What the store answered to each question: its answer, None where nothing is set, or :class:`Unknown`."""

    encryption: Answer | Unknown | None
    lifecycle: Answer | Unknown | None
    versioning: Answer | Unknown | None
    lock: Answer | Unknown | None


def read(bucket: Bucket) -> Settings:
    """Ask for a bucket's settings.

    :raises StoreUnreachable: when the store does not answer
    :raises StoreDenied: when there is no such bucket, or no such account
    """
    client = _client(bucket)
    return Settings(
        encryption=_ask(client.get_bucket_encryption, bucket, "ServerSideEncryptionConfiguration"),
        lifecycle=_ask(client.get_bucket_lifecycle_configuration, bucket, "Rules"),
        versioning=_ask(client.get_bucket_versioning, bucket, ""),
        lock=_ask(client.get_object_lock_configuration, bucket, "ObjectLockConfiguration"),
    )


def _client(bucket: Bucket) -> Any:
    return botocore.session.get_session().create_client(
        "s3",
        endpoint_url=bucket.url,
        region_name=bucket.region,
        aws_access_key_id=bucket.key,
        aws_secret_access_key=bucket.key_secret,
        verify=bucket.ca_file or None,
        config=Config(
            connect_timeout=CONNECT_TIMEOUT,
            read_timeout=READ_TIMEOUT,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            s3={"addressing_style": "path"},
        ),
    )


def _ask(question: Callable[..., Answer], bucket: Bucket, part: str) -> Answer | Unknown | None:
    """Return what the store says; an answer without its ``part`` is one to some other question."""
    try:
        answer = question(Bucket=bucket.name)
    except ClientError as error:
        return _refused(error, bucket)
    except BotoCoreError as error:
        text = " ".join(str(error).split())
        raise StoreUnreachable(f"the object store at {bucket.url} does not answer: {text}") from error
    answer.pop("ResponseMetadata", None)
    if part and part not in answer:
        return Unknown("the store's answer is about something else")
    return answer


def _refused(error: ClientError, bucket: Bucket) -> Unknown | None:
    code = str(error.response.get("Error", {}).get("Code", ""))
    if code in _UNSET:
        return None
    if code in _NO_BUCKET or code in _NO_ACCOUNT:
        raise StoreDenied(
            f"the object store refuses the bucket {bucket.name}: {code}",
            "Check the bucket's name, the account and its secret.",
        ) from error
    return Unknown(f"the store refuses to tell: {code or 'no reason given'}")
