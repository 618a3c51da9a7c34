"""What identifies a fire, and what identifies the ticks of a schedule."""

import hashlib
from datetime import UTC

from jobpools.core.schedules.code_specs import CodeSpec
from jobpools.core.schedules.specs import Schedule


def fire_id(key: str, due: float) -> str:
    """Return the job id of a fire, which depends on the schedule (`namespace/name`) and the due time only."""
    return f"fire-{hashlib.sha256(f'{key} {round(due * 1000)}'.encode()).hexdigest()[:32]}"


def manual_id(key: str, at: float) -> str:
    """Return the job id of a run that a user asked for at this time; no tick has the same id."""
    return fire_id(f"{key}!", at)


def times_key(schedule: Schedule) -> str:
    """Return the schedule's times and uid as one line. When it changes, ticks are counted from that moment on."""
    spec = schedule.spec
    if isinstance(spec, CodeSpec) and spec.every is not None:
        return f"every {round(spec.every * 1000)}"
    line = f"at {spec.at.astimezone(UTC).isoformat()}" if spec.at else f"{spec.schedule} {spec.time_zone}"
    return f"{line} {schedule.meta.uid}".rstrip()
