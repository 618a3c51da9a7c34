"""Pure: facts in, decisions out. Standard library, pydantic and croniter only; no I/O, no clock, no randomness.

Time is an argument `now` (seconds since the epoch), randomness an argument `jitter` or `draw` (0 ≤ x < 1), an id an
argument. A decision is a `Decision(value, reason, message)`.
"""
