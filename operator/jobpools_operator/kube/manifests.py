"""Render the Deployment and the Secret of a pool. `cluster.py` and `url_secret.py` apply them."""

import base64
import copy
import hashlib
import json
import math
from collections.abc import Collection, Sequence
from typing import Any, TypeGuard, cast

from jobpools.core.objects import API_VERSION, Meta
from jobpools.core.pools.specs import Pool
from jobpools.pool_settings import live_settings
from jobpools.settings import GRACE_MARGIN, REDIS_URL, worker_env

Object = dict[str, Any]

POOL_LABEL = "jobpools.dev/pool"
"""Label with the name of the pool."""
MANAGED_LABEL = "app.kubernetes.io/managed-by"
MANAGER = "jobpools"
"""Value of MANAGED_LABEL, and field manager of the Secret."""
HASH_ANNOTATION = "jobpools.dev/spec-hash"
"""Annotation with the hash of the Deployment as applied, without the settings that running workers follow."""
SETTINGS_ANNOTATION = "jobpools.dev/settings"
"""Annotation with the version of those settings as applied."""
REDIS_SECRET = "redis.jobpools.dev"  # noqa: S105  # a name
"""Name of the Secret that holds the URL of the chart's Redis, in each namespace with pools that use it."""
REDIS_KEY = "url"
"""Key of the URL in that Secret."""
POOL_KIND = "WorkerPool"
REDIS_ANNOTATION = "jobpools.dev/redis"
"""Annotation with a short hash of the URL that a pod reads from a Secret."""
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
MARKED_COST = -1000
"""Deletion cost of the pods that a scale-down is to remove."""
PROBE_PORT = 8080
CONTAINER = "worker"
USER = 10001
"""User and group id of the worker's process."""
HAND_BACK_MARGIN = 5
"""Seconds by which the worker's grace ends before the pod's: enough to hand back unfinished jobs."""


def labels(pool: Pool) -> dict[str, str]:
    """Return the labels by which a pool's Deployment and pods are found."""
    return {POOL_LABEL: pool.meta.name, MANAGED_LABEL: MANAGER}


def selector(pool: Pool) -> str:
    """Return the label selector of a pool's pods, for the subresource /scale."""
    return ",".join(f"{name}={value}" for name, value in sorted(labels(pool).items()))


def deployment(pool: Pool, redis_url: str) -> Object:
    """Return the Deployment without `replicas`, which another field manager owns.

    A `redis_url` that is not in the pool's spec stays out of the Deployment: the pod reads it from a Secret.
    """
    pod = _merge(_pod(pool, redis_url), copy.deepcopy(pool.spec.template))
    pod["metadata"]["labels"] |= labels(pool)  # the template must not change the labels of the selector
    body: Object = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": pool.meta.name,
            "namespace": pool.meta.namespace,
            "labels": labels(pool),
            "annotations": {},
            "ownerReferences": [owner_reference(pool.meta)],
        },
        "spec": {
            "selector": {"matchLabels": labels(pool)},
            "revisionHistoryLimit": 3,
            # New workers start before old ones stop, and a busy old worker finishes within its grace.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}},
            "template": pod,
        },
    }
    settings = live_settings(pool)
    body["metadata"]["annotations"] = {
        HASH_ANNOTATION: content_hash(_without(body, settings.variables)),
        SETTINGS_ANNOTATION: settings.version,
    }
    return body


def _without(body: Object, variables: Collection[str]) -> Object:
    """Return the Deployment without these variables of the worker's container: running workers follow them."""
    stripped = copy.deepcopy(body)
    for container in stripped["spec"]["template"]["spec"]["containers"]:
        if container["name"] == CONTAINER and isinstance(container["env"], list):
            environment = cast("list[object]", container["env"])
            container["env"] = [each for each in environment if _name_of(each) not in variables]
    return stripped


def redis_secret(namespace: str, redis_url: str, owners: Sequence[Object]) -> Object:
    """Return the Secret from which the pods of a namespace read the default URL. `owners`: references to pools."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": REDIS_SECRET,
            "namespace": namespace,
            "labels": {MANAGED_LABEL: MANAGER},
            "ownerReferences": list(owners),
        },
        "data": {REDIS_KEY: base64.b64encode(redis_url.encode()).decode()},
    }


def content_hash(body: Object) -> str:
    """Return a hash of the object. Equal objects have equal hashes, and need no write."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]


def owner_reference(pool: Meta, *, controller: bool = True) -> Object:
    """Return an owner reference to the pool. Kubernetes deletes an object when its last owner is gone."""
    # No blockOwnerDeletion: with OwnerReferencesPermissionEnforcement (OpenShift) it requires a right on finalizers,
    # and the deletion of a pool need not wait for its pods.
    return {
        "apiVersion": API_VERSION,
        "kind": POOL_KIND,
        "name": pool.name,
        "uid": pool.uid,
        "controller": controller,
    }


def _pod(pool: Pool, redis_url: str) -> Object:
    probe = {"port": PROBE_PORT}
    metadata: Object = {"labels": labels(pool)}
    if _url_secret_ref(pool):
        # Running pods do not notice a changed Secret, but a changed hash replaces them. It has only four digits, so
        # that the URL cannot be guessed from it; two URLs have the same hash with a probability of 1 in 65,536.
        metadata["annotations"] = {REDIS_ANNOTATION: hashlib.sha256(redis_url.encode()).hexdigest()[:4]}
    return {
        "metadata": metadata,
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            # After SIGTERM the worker stops claiming and finishes its jobs: the longest job fits into the grace.
            "terminationGracePeriodSeconds": _grace(pool),
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": USER,
                "runAsGroup": USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": CONTAINER,
                    "image": pool.spec.image,
                    "args": ["worker"],
                    "env": _environment(pool, redis_url),
                    "ports": [{"name": "probes", "containerPort": PROBE_PORT}],
                    "livenessProbe": {"httpGet": {"path": "/livez"} | probe, "periodSeconds": 10, "timeoutSeconds": 5},
                    "readinessProbe": {"httpGet": {"path": "/readyz"} | probe, "periodSeconds": 2, "timeoutSeconds": 2},
                    "startupProbe": {"httpGet": {"path": "/livez"} | probe, "periodSeconds": 1, "failureThreshold": 60},
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108  # the pod's own
                }
            ],
            "volumes": [{"name": "tmp", "emptyDir": {}}],
        },
    }


def _grace(pool: Pool) -> int:
    return math.ceil(pool.spec.job.timeout + GRACE_MARGIN)


def _url_secret_ref(pool: Pool) -> dict[str, str]:
    """Return the Secret and key that hold the URL; empty: the pool's spec has the URL itself."""
    redis = pool.spec.redis
    if redis is None:
        return {"name": REDIS_SECRET, "key": REDIS_KEY}
    ref = redis.secret_key_ref
    return {} if ref is None else {"name": ref.name, "key": ref.key}


def _environment(pool: Pool, redis_url: str) -> list[Object]:
    variables: list[Object] = []
    secret = _url_secret_ref(pool)
    # The kubelet kills the pod when its grace ends. The worker hands back unfinished jobs before that.
    plain = worker_env(pool, redis_url) | {"JOBPOOLS_GRACE": str(_grace(pool) - HAND_BACK_MARGIN)}
    for name, value in plain.items():
        if name == REDIS_URL and secret:
            source = {"secretKeyRef": secret}
            variables.append({"name": name, "valueFrom": source})
        else:
            variables.append({"name": name, "value": value})
    variables.append({"name": "JOBPOOLS_WORKER", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}})
    variables.append({"name": "JOBPOOLS_PROBE_PORT", "value": str(PROBE_PORT)})
    variables.append({"name": "JOBPOOLS_LOG", "value": "json"})
    return variables


def _merge(ours: Any, theirs: Any) -> Any:
    """Return the template merged over our object: maps by key, lists of named items by name, the rest replaced."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return _merge_maps(cast("Object", ours), cast("Object", theirs))
    if _is_named_list(ours) and _is_named_list(theirs):
        found: dict[str, Object] = {each["name"]: each for each in ours}
        for each in theirs:
            found[each["name"]] = _merge(found[each["name"]], each) if each["name"] in found else each
        return list(found.values())
    return theirs


def _merge_maps(ours: Object, theirs: Object) -> Object:
    return {key: _merge(ours[key], theirs[key]) if key in ours and key in theirs else ours.get(key, theirs.get(key))
            for key in [*ours, *(key for key in theirs if key not in ours)]}  # fmt: skip


def _is_named_list(value: Any) -> TypeGuard[list[Object]]:
    if not isinstance(value, list):
        return False
    items = cast("list[object]", value)
    return bool(items) and all(_has_name(each) for each in items)


def _name_of(value: object) -> str:
    return str(cast("Object", value).get("name")) if isinstance(value, dict) else ""


def _has_name(value: object) -> bool:
    return isinstance(value, dict) and isinstance(cast("Object", value).get("name"), str)
