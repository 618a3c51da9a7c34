"""Make the clock wrong by CLOCK_OFF seconds. Python imports this at its start if its folder is on PYTHONPATH."""

import os
import time

_right, _off = time.time, float(os.environ.get("CLOCK_OFF", "0"))


def _wrong() -> float:
    return _right() + _off


time.time = _wrong
time.time_ns = lambda: int(_wrong() * 1e9)
