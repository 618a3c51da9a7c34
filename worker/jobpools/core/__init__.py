"""Pure functions that turn facts into decisions. They do no I/O, read no clock and draw no random numbers.

The caller passes the time as `now` (seconds since the epoch), a random number as `jitter` or `draw` (0 ≤ x < 1), and
each id. A decision is a `Decision(value, reason, message)`. Only the standard library, pydantic and croniter are
imported.
"""
