"""Neutralising a copy as a step: whatever goes wrong with it, the copy is not served, and another try begins anew."""

import os

import pytest
from addons.loomworks_snapshot.reconciler.steps import Neutralised, NeutralisingFailed
from addons.loomworks_snapshot.restoring import neutral
from addons.loomworks_tenant.reconciler import engine
from addons.loomworks_tenant.reconciler.step import Boundaries, Done, Waiting
from factories import tenant_spec
from plain_databases import connect, made

TABLES = """
    CREATE TABLE ir_config_parameter (
        key varchar UNIQUE, value text, create_uid int, create_date timestamp, write_uid int, write_date timestamp
    );
    CREATE TABLE ir_model_data (module varchar, name varchar, model varchar, res_id int);
    CREATE TABLE ir_cron (id int, active boolean);
    CREATE TABLE fetchmail_server (id int, active boolean);
"""
NEUTRAL = "INSERT INTO ir_config_parameter (key, value) VALUES ('database.is_neutralized', 'true')"
STARTED = ["Job", "NetworkPolicy"]
CLEANED_UP = ["Job", "NetworkPolicy"]

JOB = {"name": "neutralise", "namespace": "lw", "uid": "1"}


class World:
    """A cluster in which the Job is not there yet, or goes on, or has come to its end; and the copy's database."""

    def __init__(self, database):
        self.name, self.job, self.words, self.applied, self.deleted = database, None, "", [], []
        self.boundaries = Boundaries(self, self, None)

    # the cluster
    def get(self, kind, name, namespace):
        return {"data": {"password": "cGFzc3dvcmQ="}} if kind == "Secret" else self.job

    def list(self, kind, namespace, label_selector):
        terminated = {"state": {"terminated": {"exitCode": 1, "message": self.words}}}
        meta = {"name": "pod", "ownerReferences": [{"uid": "1"}]}
        return [{"metadata": meta, "status": {"phase": "Failed", "containerStatuses": [terminated]}}]

    def apply(self, manifest):
        self.applied.append(manifest["kind"])
        return {**manifest, "metadata": {**manifest["metadata"], "uid": "1"}}

    create = apply

    def merge(self, kind, name, namespace, change):
        assert change["spec"] == {"suspend": False}

    def delete(self, kind, name, namespace):
        self.deleted.append(kind)
        self.job = None if kind == "Job" else self.job

    # the database server
    def connect(self, name, owner):
        return connect(self.name)

    # what its test has happen
    def run(self, statements):
        with self.connect(self.name, None) as cr:
            cr.execute(statements)

    def end_job(self, condition, words=""):
        self.words = words
        self.job = {"metadata": JOB, "status": {"conditions": [{"type": condition, "status": "True"}]}}


@pytest.fixture
def world():
    """The copy's database is there, and nobody has neutralised it."""
    name = f"loomworks_test_copy_{os.getpid()}"
    with made(name):
        world = World(name)
        world.run(TABLES)
        yield world


def ensure(world):
    return Neutralised().ensure(tenant_spec(), world.boundaries)


def outcome(world):
    line = engine.PlannedStep(Neutralised(), engine.Verb.ENSURE, "f")
    return engine.run(line, tenant_spec(), world.boundaries, 0)


def is_finished(world):
    spec = tenant_spec()
    return neutral.is_finished(world, None, spec.database, spec.uuid)


def test_copy_is_neutral_once_its_job_has_ended_and_nothing_is_on(world):
    assert isinstance(ensure(world), Waiting)
    assert world.applied == STARTED
    world.run(NEUTRAL)
    world.end_job("Complete")
    assert isinstance(ensure(world), Done)
    assert world.deleted == CLEANED_UP
    assert is_finished(world)
    assert isinstance(ensure(world), Done)
    assert world.applied == STARTED  # never again


def test_job_that_goes_on_or_goes_away_is_waited_for(world):
    for job in (
        {"metadata": JOB, "status": {}},
        {"metadata": {"deletionTimestamp": "now"}, "status": {"conditions": [{"type": "Complete", "status": "True"}]}},
    ):
        world.job = job
        assert isinstance(ensure(world), Waiting)
    assert (world.applied, world.deleted) == ([], [])
    assert not is_finished(world)


def test_job_that_fails_says_why_and_is_started_anew_by_a_retry(world):
    world.run(NEUTRAL)  # of one module, before the file of another failed
    world.end_job("Failed", "no such column")
    with pytest.raises(NeutralisingFailed, match="no such column"):
        ensure(world)
    assert world.deleted == CLEANED_UP
    assert not is_finished(world)
    assert isinstance(ensure(world), Waiting)
    assert world.applied == STARTED


def test_what_is_still_on_after_the_job_is_named_and_another_try_runs_the_job_again(world):
    world.run(f"{NEUTRAL}; INSERT INTO fetchmail_server VALUES (3, true)")
    world.end_job("Complete")
    with pytest.raises(neutral.NotNeutralised, match=r"1 incoming mail server \(fetchmail_server 3\)"):
        ensure(world)
    assert world.deleted == CLEANED_UP
    assert not is_finished(world)
    assert isinstance(ensure(world), Waiting)
    assert world.applied == STARTED
    world.run("UPDATE fetchmail_server SET active = false")
    world.end_job("Complete")
    assert isinstance(ensure(world), Done)


def test_job_that_ended_without_marking_the_database_is_no_success(world):
    world.end_job("Complete")
    with pytest.raises(neutral.NotNeutralised, match="not marked"):
        ensure(world)
    assert not is_finished(world)


@pytest.mark.parametrize(
    ("condition", "code"), [("Failed", NeutralisingFailed.code), ("Complete", neutral.NotNeutralised.code)]
)
def test_failed_step_is_not_tried_again_by_itself(world, condition, code):
    world.end_job(condition)
    found = outcome(world)
    assert (found.state, found.code, found.retry_after) == (engine.StepState.FAILED, code, None)
