"""Values that several scripts take as arguments."""

from jobpools.core.jobs.job import Priority
from jobpools.core.jobs.policies import KEEP_COMPLETED, KEEP_DEAD

SERVER_CLOCK = ""
"""The argument `now_ms` where the script reads the server's time; tests pass a time instead."""
LETTERS = {Priority.HIGH: "h", Priority.NORMAL: "n", Priority.LOW: "l"}
"""How scripts name the priorities."""
Keep = tuple[int, int]
"""Maximum numbers of completed jobs and of dead letters that a queue keeps."""
KEEP: Keep = (KEEP_COMPLETED, KEEP_DEAD)
CANCELLED_TTL = 86_400_000
"""ms that the record of a cancelled job is kept."""
