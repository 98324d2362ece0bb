"""Reasons as the kubelet writes them, each told apart."""

import pytest
from addons.loomworks_tenant.kube import diagnosis


def pod(*, init=False, ready=False, **status):
    statuses = "initContainerStatuses" if init else "containerStatuses"
    conditions = [{"type": "Ready", "status": str(ready)}]
    return {"metadata": {}, "status": {"conditions": conditions, statuses: [{"image": "odoo:1", **status}]}}


def waiting(reason, message=""):
    return {"state": {"waiting": {"reason": reason, "message": message}}}


@pytest.mark.parametrize("reason", sorted(diagnosis.IMAGE_REASONS))
def test_image_that_cannot_be_fetched_is_named(reason):
    found = diagnosis.pod(pod(**waiting(reason, "not found")))
    assert found == diagnosis.Diagnosis(
        False, "the image odoo:1 cannot be fetched: not found", "image_unavailable", fatal=True
    )


@pytest.mark.parametrize("reason", sorted(diagnosis.CONFIG_REASONS))
def test_container_that_cannot_be_made_says_why(reason):
    found = diagnosis.pod(pod(**waiting(reason)))
    assert (found.code, found.fatal) == ("container_refused", True)
    assert found.message == f"the container cannot be made: {reason}"


def test_problem_of_an_init_container_counts():
    assert diagnosis.pod(pod(init=True, **waiting("ErrImagePull"))).code == "image_unavailable"


@pytest.mark.parametrize(("restarts", "fatal"), [(1, False), (2, False), (3, True)])
def test_crashes_are_counted_before_they_are_called_a_loop(restarts, fatal):
    ended = {"terminated": {"reason": "Error", "exitCode": 1, "message": "no database"}}
    found = diagnosis.pod(pod(restartCount=restarts, lastState=ended))
    assert (found.code, found.fatal) == ("crash_loop", fatal)
    assert found.message == f"Odoo ended {restarts} time(s) (Error, exit code 1): no database"


def test_crash_without_a_word_still_says_how_often():
    found = diagnosis.pod(pod(restartCount=1))
    assert found.message == "Odoo ended 1 time(s) (unknown, exit code ?)"


def test_last_words_are_cut_to_their_end():
    ended = {"terminated": {"exitCode": 1, "message": "x" * 1000 + "the end"}}
    message = diagnosis.pod(pod(restartCount=1, lastState=ended)).message
    assert message.endswith("the end")
    assert len(message) < diagnosis.LOG_TAIL + 100


def test_ready_pod_runs_and_unready_pod_starts():
    assert diagnosis.pod(pod(ready=True)) == diagnosis.Diagnosis(True, "running")
    assert diagnosis.pod(pod()) == diagnosis.Diagnosis(False, "Odoo is starting")


def test_bound_claim_is_ready_and_quiet_claim_waits():
    assert diagnosis.claim({"status": {"phase": "Bound"}}, []) == diagnosis.Diagnosis(True, "bound")
    assert diagnosis.claim({}, []) == diagnosis.Diagnosis(False, "waiting for the volume")


def test_finished_job_is_ready():
    job = {"status": {"conditions": [{"type": "Complete", "status": "True"}]}}
    assert diagnosis.job(job, []) == diagnosis.Diagnosis(True, "finished")


def test_running_job_is_quiet_unless_its_pod_is_stuck():
    assert diagnosis.job({}, [pod()]) == diagnosis.Diagnosis(False, "running")
    assert diagnosis.job({}, [pod(**waiting("ErrImagePull"))]).code == "image_unavailable"


def test_failed_job_without_a_pod_says_what_the_controller_said():
    job = {"status": {"conditions": [{"type": "Failed", "status": "True", "message": "deadline exceeded"}]}}
    assert diagnosis.job(job, []).message == "deadline exceeded"


def test_deployment_whose_pods_are_refused_says_so():
    refused = {"type": "ReplicaFailure", "status": "True", "message": "violates PodSecurity"}
    deployment = {"metadata": {}, "spec": {"replicas": 1}, "status": {"conditions": [refused]}}
    assert diagnosis.deployment(deployment, []) == diagnosis.Diagnosis(
        False, "violates PodSecurity", "pod_refused", fatal=True
    )


def test_pods_that_are_going_are_not_asked():
    going = pod(**waiting("ErrImagePull"))
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    deployment = {"metadata": {}, "spec": {"replicas": 1}, "status": {}}
    assert diagnosis.deployment(deployment, [going]).message == "waiting for the pod to be created"


def test_stopping_deployment_counts_what_is_left():
    deployment = {"metadata": {}, "spec": {"replicas": 0}, "status": {}}
    assert diagnosis.deployment(deployment, [pod()]).message == "stopping: 1 pod(s) left"
    assert diagnosis.deployment(deployment, []) == diagnosis.Diagnosis(True, "stopped")
