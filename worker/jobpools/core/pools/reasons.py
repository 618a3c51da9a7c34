"""Every reason that the product itself gives for a condition or an event of a WorkerPool."""

from enum import StrEnum


class Reason(StrEnum):
    """One stable word: users match on it. Kubernetes adds reasons of its own, such as `ImagePullBackOff`."""

    CLUSTER_UNKNOWN = "ClusterUnknown"
    """The workers cannot be observed: the number of workers stays as it is."""
    QUEUES_UNKNOWN = "QueuesUnknown"
    """Redis cannot be read: the number of workers stays as it is."""
    CLUSTER_PROBLEM = "ClusterProblem"
    """Something in the namespace keeps the pool's workers from running; the message says what to change."""
    WORKER_DIED = "WorkerDied"
    """A worker process ended by itself; another one takes its place. Only `jobpools up`."""
    WORKER_NOT_STARTING = "WorkerNotStarting"
    """A worker process ended before it was ready; it is started again after a pause. Only `jobpools up`."""
