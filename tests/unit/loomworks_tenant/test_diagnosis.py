"""What a person is told about the status of Kubernetes objects; statuses as a real cluster writes them."""

from addons.loomworks_tenant.kube import diagnosis


def deployment(replicas=1, generation=1, **status):
    return {
        "metadata": {"generation": generation},
        "spec": {"replicas": replicas},
        "status": {"observedGeneration": 1, **status},
    }


def pod(*, ready=False, waiting=None, restarts=0, ended=None, unscheduled=None):
    conditions = [{"type": "Ready", "status": str(ready)}]
    if unscheduled:
        conditions.append({"type": "PodScheduled", "status": "False", "message": unscheduled})
    container = {
        "image": "odoo:1",
        "restartCount": restarts,
        "state": {"waiting": waiting} if waiting else {"running": {}},
        "lastState": {"terminated": ended} if ended else {},
    }
    return {"metadata": {}, "status": {"conditions": conditions, "containerStatuses": [container]}}


def test_deployment_runs_when_all_replicas_are_updated_and_available():
    found = diagnosis.deployment(deployment(updatedReplicas=1, availableReplicas=1), [])
    assert found == diagnosis.Diagnosis(True, "running")


def test_change_the_controller_has_not_seen_is_not_ready():
    found = diagnosis.deployment(deployment(generation=2, updatedReplicas=1, availableReplicas=1), [])
    assert not found.ready


def test_old_replica_still_available_is_not_ready():
    assert not diagnosis.deployment(deployment(updatedReplicas=0, availableReplicas=1), []).ready


def test_stopped_deployment_waits_for_its_last_pod():
    assert not diagnosis.deployment(deployment(replicas=0), [pod()]).ready
    assert diagnosis.deployment(deployment(replicas=0), []).ready


def test_missing_image_is_named():
    waiting = {"reason": "ImagePullBackOff", "message": "not found"}
    found = diagnosis.deployment(deployment(), [pod(waiting=waiting)])
    assert (found.code, found.fatal) == ("image_unavailable", True)
    assert "odoo:1" in found.message
    assert "not found" in found.message


def test_crash_loop_is_called_one_after_three_and_quotes_the_last_words():
    ended = {"reason": "Error", "exitCode": 1, "message": "KeyError: boom"}
    once = diagnosis.deployment(deployment(), [pod(restarts=1, ended=ended)])
    thrice = diagnosis.deployment(deployment(), [pod(restarts=3, ended=ended)])
    assert (once.fatal, thrice.fatal) == (False, True)
    assert "KeyError: boom" in thrice.message


def test_exceeded_quota_is_named():
    message = 'pods "odoo-1" is forbidden: exceeded quota: tenant'
    condition = {"type": "ReplicaFailure", "status": "True", "message": message}
    found = diagnosis.deployment(deployment(conditions=[condition]), [])
    assert (found.code, found.message) == ("quota_exceeded", message)


def test_pod_without_a_place_says_why():
    found = diagnosis.deployment(deployment(), [pod(unscheduled="0/1 nodes are available: Insufficient memory")])
    assert (found.code, found.fatal) == ("unschedulable", False)
    assert "Insufficient memory" in found.message


def test_pending_claim_quotes_the_newest_warning():
    events = [
        {"type": "Warning", "message": "old", "lastTimestamp": "2026-01-01T00:00:00Z"},
        {"type": "Warning", "message": "no room", "lastTimestamp": "2026-01-02T00:00:00Z"},
        {"type": "Normal", "message": "waiting", "lastTimestamp": "2026-01-03T00:00:00Z"},
    ]
    found = diagnosis.claim({"status": {"phase": "Pending"}}, events)
    assert (found.code, found.message) == ("volume_pending", "no volume yet: no room")


def test_lost_claim_is_fatal():
    assert diagnosis.claim({"status": {"phase": "Lost"}}, []).fatal


def test_failed_job_quotes_its_last_words():
    job = {"status": {"conditions": [{"type": "Failed", "status": "True", "message": "backoff limit"}]}}
    ended = pod()
    ended["status"]["containerStatuses"][0]["state"] = {"terminated": {"exitCode": 1, "message": "no such module"}}
    found = diagnosis.job(job, [ended])
    assert (found.code, found.fatal) == ("job_failed", True)
    assert "no such module" in found.message
