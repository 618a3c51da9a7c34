"""What identifies a fire, and what identifies the ticks of a schedule."""

import hashlib
from datetime import UTC

from jobpools.core.schedules.specs import Schedule


def fire_id(key: str, due: float) -> str:
    """Return the job id of a fire, which depends on the schedule (`namespace/name`) and the due time only."""
    return f"fire-{hashlib.sha256(f'{key} {round(due * 1000)}'.encode()).hexdigest()[:32]}"


def times_key(schedule: Schedule) -> str:
    """Return the schedule's times and uid as one line. When it changes, ticks are counted from that moment on."""
    spec = schedule.spec
    line = f"at {spec.at.astimezone(UTC).isoformat()}" if spec.at else f"{spec.schedule} {spec.time_zone}"
    return f"{line} {schedule.meta.uid}".rstrip()
