"""Values that several scripts take as arguments."""

from jobpools.core.jobs.job import Priority
from jobpools.core.jobs.policies import Keep

SERVER_CLOCK = ""
"""The argument `now_ms` where the script reads the server's time; tests pass a time instead."""
LETTERS = {Priority.HIGH: "h", Priority.NORMAL: "n", Priority.LOW: "l"}
"""How scripts name the priorities."""
KEEP = Keep()
"""The ended jobs that a queue keeps by default."""
CANCELLED_TTL = 86_400_000
"""ms that the record of a cancelled job is kept."""
