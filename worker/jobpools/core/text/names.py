"""The names of queues, jobs and workers, and the patterns that names must match."""

from typing import NewType

QueueName = NewType("QueueName", str)
JobId = NewType("JobId", str)
WorkerId = NewType("WorkerId", str)
"""`<host>.<nonce>`: the pod's (or process's) name and a random part for each start of it; no ':'."""
NAME_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
APP_PATTERN = r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$"
QUEUE_PATTERN = r"^[A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?$"
QUEUE_LIMIT = 63
"""What pools and schedules, the place of an app and queues may be called."""
