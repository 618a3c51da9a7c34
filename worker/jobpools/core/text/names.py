"""The names of queues, jobs and workers, and the patterns that names must match."""

from typing import NewType

QueueName = NewType("QueueName", str)
JobId = NewType("JobId", str)
WorkerId = NewType("WorkerId", str)
"""`<host>.<suffix>`: the name of the pod or process, and a random part for each start; never contains ':'."""
NAME_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
APP_PATTERN = r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$"
QUEUE_PATTERN = r"^[A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?$"
QUEUE_LIMIT = 63
"""Maximum characters of a queue's name."""
