"""Facts from Deployments and pods, as the API server shows them."""

from datetime import datetime

from jobpools.core.pools.facts import Problem, WorkerFacts
from jobpools.core.text.error_text import first_line
from jobpools_operator.kube import manifests
from jobpools_operator.kube.manifests import Object

FINISHED_PHASES = ("Succeeded", "Failed")
"""Phases of a pod whose worker has ended."""
CONFIG_ERROR = "CreateContainerConfigError"
"""Reason of a container that waits for a Secret or ConfigMap that does not exist."""
WAITING_PROBLEMS = (
    "CrashLoopBackOff",
    CONFIG_ERROR,
    "CreateContainerError",
    "ErrImageNeverPull",
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "RunContainerError",
)
"""Reasons of a container that waits and needs a change to start."""


def pool_key(item: Object) -> str:
    """Return `namespace/name` of the pool that the object belongs to."""
    metadata = item["metadata"]
    return f"{metadata['namespace']}/{metadata['labels'][manifests.POOL_LABEL]}"


def spec_hash(found: Object) -> str:
    """Return the hash in the annotation of the last apply; empty: there is none."""
    hashed: str = found["metadata"].get("annotations", {}).get(manifests.HASH_ANNOTATION, "")
    return hashed


def settings_version(found: Object) -> str:
    """Return the version of the settings in the environment of new pods; empty: there is none."""
    version: str = found["metadata"].get("annotations", {}).get(manifests.SETTINGS_ANNOTATION, "")
    return version


def fingerprint(found: Object) -> str:
    """Return a hash of the Deployment's spec without `replicas`, which changes with the load."""
    return manifests.content_hash({name: value for name, value in found["spec"].items() if name != "replicas"})


def is_rolling(found: Object) -> bool:
    """Return whether pods of an older template exist, or the Deployment controller has not yet read the last write.

    A Deployment that has no pods and wants none replaces nothing. It does not wait for the controller, which is slow
    when many Deployments are new.
    """
    status = found.get("status", {})
    if found["spec"].get("replicas", 1) == status.get("replicas", 0) == 0:
        return False
    is_unread = status.get("observedGeneration", 0) < found["metadata"].get("generation", 0)
    return bool(is_unread or status.get("updatedReplicas", 0) < status.get("replicas", 0))


def is_marked(pod: Object) -> bool:
    """Return whether a scale-down removes the pod first."""
    annotations: Object = pod["metadata"].get("annotations", {})
    return str(annotations.get(manifests.DELETION_COST)) == str(manifests.MARKED_COST)


def worker_facts(pod: Object) -> WorkerFacts:
    """Return what the pod shows of its worker."""
    status = pod.get("status", {})
    conditions = {each["type"]: each for each in status.get("conditions", [])}
    started = status.get("startTime")
    return WorkerFacts(
        name=pod["metadata"]["name"],
        ready=conditions.get("Ready", {}).get("status") == "True",
        terminating="deletionTimestamp" in pod["metadata"],
        marked=is_marked(pod),
        started=datetime.fromisoformat(started).timestamp() if started else 0.0,
        problem=pod_problem(status, conditions),
        generation=pod["metadata"].get("labels", {}).get("pod-template-hash", ""),
    )


def pod_problem(status: Object, conditions: dict[str, Object]) -> Problem | None:
    """Return why a container of the pod does not start, or why the pod is not scheduled; None: no problem is known."""
    for container in status.get("containerStatuses", []):
        waiting = container.get("state", {}).get("waiting", {})
        if waiting.get("reason") in WAITING_PROBLEMS:
            last = container.get("lastState", {}).get("terminated", {})
            return Problem(waiting["reason"], first_line(waiting.get("message", "")) or last.get("reason", ""))
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        return Problem(scheduled.get("reason", "Unschedulable"), scheduled.get("message", ""))
    return None


def replica_failure(found: Object) -> Problem | None:
    """Return why the Deployment's pods cannot be created, such as `FailedCreate: exceeded quota`; None: they can."""
    for each in found.get("status", {}).get("conditions", []):
        if each["type"] == "ReplicaFailure" and each["status"] == "True":
            return Problem(each.get("reason", "ReplicaFailure"), each.get("message", ""))
    return None
