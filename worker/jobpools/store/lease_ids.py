"""Lease ids: `job:worker:fence`."""

FENCE_DIGITS = 10
"""Decimal digits of a fence, which only has to distinguish the claims of one job by one worker."""


def lease_suffix_of(worker: str, fence: int) -> str:
    """Return what follows the job id in the lease ids of one claim: `:worker:fence`, with a fence of fixed length."""
    return f":{worker}:{fence:0{FENCE_DIGITS}d}"


def fence_of(lease_id: str) -> str:
    """Return the fence of a lease id."""
    return lease_id.rpartition(":")[2]


def split_lease_id(lease_id: str) -> tuple[str, str]:
    """Return the job id and the worker id of a lease id."""
    job_id, worker, _ = lease_id.rsplit(":", 2)
    return job_id, worker
