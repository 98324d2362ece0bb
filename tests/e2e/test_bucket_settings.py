"""How the running stack's own buckets are set, as the control plane finds it with the accounts that it has."""


def settings(call, model):
    (number, *_others) = call(model, "search", domain=[])
    call(model, "action_check_bucket", ids=[number])
    fields = ["bucket_state", "bucket_problem", "bucket_findings", "bucket_checked_at"]
    row = call(model, "read", ids=[number], fields=fields)[0]
    assert row["bucket_checked_at"]
    assert not row["bucket_problem"]
    return row["bucket_state"], {one["setting"]: one["grade"] for one in row["bucket_findings"]}


def test_repositorys_bucket_is_known_and_lacks_encryption_only(call):
    state, grades = settings(call, "loomworks.database.server")
    assert state == "wrong"  # the development stack's S3 does not encrypt; pgBackRest does
    assert {name for name, grade in grades.items() if grade != "good"} == {"Default encryption"}


def test_account_of_the_files_knows_the_life_cycle_and_what_it_does_not_know_is_not_good(call):
    state, grades = settings(call, "loomworks.cluster")
    assert state == "unknown"
    assert grades["Uploads that broke off"] == grades["Deletion by the store"] == "good"
