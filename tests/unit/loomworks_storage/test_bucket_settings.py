"""How a bucket's settings are told by a real S3 server, and what is thought of them."""

import secrets
from datetime import UTC, datetime

import botocore.session
import pytest
from addons.loomworks_storage.buckets import bucket as buckets
from addons.loomworks_storage.buckets.bucket import Bucket, Settings, Unknown
from addons.loomworks_storage.buckets.verdict import Finding, Grade, judge, overall
from addons.loomworks_storage.filestore.errors import StoreDenied, StoreUnreachable
from botocore.stub import Stubber
from harness.s3_server import REGION

PREFIX = "filestores/"
ENCRYPTION = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
ABORT = {"ID": "abort", "Status": "Enabled", "Filter": {"Prefix": ""}}
ABORT["AbortIncompleteMultipartUpload"] = {"DaysAfterInitiation": 1}


@pytest.fixture
def made(s3):
    """A bucket, and the client of who may set it."""
    name = f"settings-{secrets.token_hex(4)}"
    s3.client().create_bucket(Bucket=name)
    account = {"key": s3.key, "key_secret": s3.key_secret, "ca_file": str(s3.ca_file)}
    return Bucket(s3.endpoint, name, REGION, PREFIX, **account)


@pytest.fixture
def set_up(s3, made):
    """Set the bucket as it is to be, or with these rules."""

    def do(*rules):
        client, where = s3.client(), {"Bucket": made.name}
        client.put_bucket_encryption(**where, ServerSideEncryptionConfiguration=ENCRYPTION)
        client.put_bucket_lifecycle_configuration(**where, LifecycleConfiguration={"Rules": [ABORT, *rules]})

    return do


def rule(name="old", prefix="", **more):
    return {"ID": name, "Status": "Enabled", "Filter": {"Prefix": prefix}, **more}


def grades(found):
    return {one.setting: one.grade for one in found}


def told(*rules, **settings):
    """What is thought of a bucket that is good but for these rules and settings."""
    values = {
        "encryption": {"ServerSideEncryptionConfiguration": ENCRYPTION},
        "lifecycle": {"Rules": [ABORT, *rules]},
        "versioning": {},
        "lock": None,
        **settings,
    }
    return {one.setting: one for one in judge(Settings(**values), PREFIX)}


def test_bucket_as_it_is_to_be_is_good(made, set_up):
    set_up(rule("of others", "other/", Expiration={"Days": 1}))
    found = judge(buckets.read(made), PREFIX)
    assert set(grades(found).values()) == {Grade.GOOD}
    assert overall(found) == Grade.GOOD


def test_bucket_as_it_was_made_lacks_two_settings(made):
    found = judge(buckets.read(made), PREFIX)
    wrong = {one.setting: one.remedy for one in found if one.grade == Grade.WRONG}
    assert set(wrong) == {"Default encryption", "Uploads that broke off"}
    assert "put-bucket-encryption" in wrong["Default encryption"]
    assert overall(found) == Grade.WRONG


def test_rule_that_deletes_what_is_needed_is_named(made, set_up):
    set_up(rule("after-a-month", PREFIX, Expiration={"Days": 30}))
    (found,) = [one for one in judge(buckets.read(made), PREFIX) if one.grade != Grade.GOOD]
    assert found.setting == "Deletion by the store"
    assert found.text == "the rule “after-a-month” deletes objects after 30 day(s), needed or not"


def test_versions_and_locks_are_noted(s3, made, set_up):
    set_up()
    s3.client().put_bucket_versioning(Bucket=made.name, VersioningConfiguration={"Status": "Enabled"})
    held = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 3}}
    lock = {"ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled", "Rule": held}}
    s3.client().put_object_lock_configuration(Bucket=made.name, **lock)
    found = judge(buckets.read(made), PREFIX)
    noted = {one.setting: one.text for one in found if one.grade == Grade.NOTED}
    assert noted["Versions"] == "of removed objects are kept for ever: the bucket only grows"
    assert noted["Object lock"] == "keeps each object for 3 day(s) (COMPLIANCE), removed or not"
    assert overall(found) == Grade.GOOD


def test_account_that_may_not_ask_knows_nothing(s3, made, set_up):
    set_up()
    key, key_secret = s3.lesser
    lesser = Bucket(made.url, made.name, REGION, PREFIX, key=key, key_secret=key_secret, ca_file=made.ca_file)
    found = judge(buckets.read(lesser), PREFIX)
    assert Grade.UNKNOWN in set(grades(found).values())
    assert overall(found) == Grade.UNKNOWN
    assert all(one.remedy for one in found if one.grade == Grade.UNKNOWN)


def test_bucket_that_is_not_there_and_server_that_is_not_there(s3, made):
    account = {"key": made.key, "key_secret": made.key_secret, "ca_file": made.ca_file}
    with pytest.raises(StoreDenied, match="NoSuchBucket"):
        buckets.read(Bucket(made.url, "no-such-bucket", REGION, PREFIX, **account))
    with pytest.raises(StoreUnreachable, match="does not answer"):
        buckets.read(Bucket("https://127.0.0.1:1", made.name, REGION, PREFIX, **account))
    assert made.key_secret not in repr(made)


@pytest.mark.parametrize("code", ["NotImplemented", "MethodNotAllowed", "AccessDenied"])
def test_store_that_does_not_know_the_question_is_unknown_and_not_good(made, monkeypatch, code):
    client = botocore.session.get_session().create_client(
        "s3", REGION, aws_access_key_id="a", aws_secret_access_key="b"
    )
    monkeypatch.setattr(buckets, "_client", lambda bucket: client)
    with Stubber(client) as answers:
        for name in ("get_bucket_encryption", "get_bucket_lifecycle_configuration"):
            answers.add_client_error(name, code, http_status_code=501)
        answers.add_response("get_bucket_versioning", {})
        answers.add_client_error("get_object_lock_configuration", code, http_status_code=501)
        found = judge(buckets.read(made), PREFIX)
    unknown = {one.setting for one in found if one.grade == Grade.UNKNOWN}
    assert unknown == {"Default encryption", "Uploads that broke off", "Deletion by the store", "Object lock"}
    assert overall(found) == Grade.UNKNOWN


def test_answer_to_another_question_is_unknown(made, monkeypatch):
    client = botocore.session.get_session().create_client(
        "s3", REGION, aws_access_key_id="a", aws_secret_access_key="b"
    )
    monkeypatch.setattr(buckets, "_client", lambda bucket: client)
    with Stubber(client) as answers:  # as of a server that lists the bucket whatever it is asked
        for name in ("encryption", "lifecycle_configuration", "versioning"):
            answers.add_response(f"get_bucket_{name}", {})
        answers.add_response("get_object_lock_configuration", {})
        found = grades(judge(buckets.read(made), PREFIX))
    assert found["Deletion by the store"] == found["Default encryption"] == Grade.UNKNOWN


@pytest.mark.parametrize(
    ("harm", "text"),
    [
        ({"Expiration": {"Date": datetime(2030, 1, 2, tzinfo=UTC)}}, "deletes objects on 2030-01-02"),
        ({"Transitions": [{"Days": 1, "StorageClass": "DEEP_ARCHIVE"}]}, "moves objects to DEEP_ARCHIVE"),
    ],
)
def test_every_way_of_taking_objects_away_is_wrong(harm, text):
    found = told(rule("old", **harm))["Deletion by the store"]
    assert found.grade == Grade.WRONG
    assert text in found.text


@pytest.mark.parametrize(
    "harmless",
    [
        rule(prefix="other/", Expiration={"Days": 1}),
        {**rule(Expiration={"Days": 1}), "Status": "Disabled"},
        {**rule(Expiration={"Days": 1}), "Filter": {"Tag": {"Key": "a", "Value": "b"}}},
        rule(Expiration={"ExpiredObjectDeleteMarker": True}),
        rule(Transitions=[{"Days": 30, "StorageClass": "STANDARD_IA"}]),
    ],
)
def test_rules_that_do_not_reach_what_is_needed_are_good(harmless):
    assert told(harmless)["Deletion by the store"].grade == Grade.GOOD


@pytest.mark.parametrize(
    "where", [{"Filter": {"Prefix": f"{PREFIX}9"}}, {"Prefix": "file"}, {"Filter": {"And": {"Prefix": PREFIX}}}]
)
def test_rule_that_reaches_a_part_of_what_is_needed_is_wrong(where):
    reaching = {"ID": "part", "Status": "Enabled", "Expiration": {"Days": 9}, **where}
    assert told(reaching)["Deletion by the store"].grade == Grade.WRONG


@pytest.mark.parametrize(
    "change", [{"Filter": {"Prefix": "other/"}}, {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 30}}]
)
def test_uploads_that_stay_too_long_are_wrong(change):
    found = told(lifecycle={"Rules": [{**ABORT, **change}]})
    assert found["Uploads that broke off"].grade == Grade.WRONG


def test_versions_that_expire_are_noted_with_their_days():
    kept = rule(NoncurrentVersionExpiration={"NoncurrentDays": 9})
    found = told(kept, versioning={"Status": "Enabled"})["Versions"]
    assert found == Finding("Versions", Grade.NOTED, "of removed objects are kept for 9 day(s)")
    assert told(versioning=Unknown("no"))["Versions"].grade == Grade.UNKNOWN
