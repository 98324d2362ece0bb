"""``python -m stack.make_bucket ENDPOINT BUCKET...``: wait for an S3 server and have buckets there."""

from __future__ import annotations

import sys
import time

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

TIMEOUT = 60  # seconds
# Uploads that broke off are in no list, and stay unless a rule removes them.
ABORTED = {"ID": "broken-off", "Status": "Enabled", "Filter": {"Prefix": ""}}
LIFECYCLE = {"Rules": [{**ABORTED, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}}]}


def main(endpoint: str, *buckets: str) -> None:
    """Make ``buckets`` at ``endpoint`` unless they are there; credentials come from the environment."""
    client = boto3.client("s3", endpoint_url=endpoint, config=Config(retries={"max_attempts": 1}, connect_timeout=2))
    deadline = time.monotonic() + TIMEOUT
    while True:
        try:
            there = {one["Name"] for one in client.list_buckets()["Buckets"]}
            for bucket in buckets:
                if bucket not in there:
                    client.create_bucket(Bucket=bucket)
                client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration=LIFECYCLE)
            return
        except (BotoCoreError, ClientError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.3)


if __name__ == "__main__":
    main(*sys.argv[1:])
