"""When a run with --until-idle ends, and its exit code."""

from dataclasses import replace
from typing import Any

import pytest

from jobpools.core.objects import Meta
from jobpools.core.pools.specs import Pool, PoolSpec
from jobpools.local.completion import Ending, Progress, decide_ending, exit_code, is_at_minimum

IDLE = Progress(unfinished=0, is_stuck=False, expects_more_jobs=False, crash_looping=(), pools_at_minimum=True)
NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("change", "ending", "reason"),
    [
        ({}, Ending.DONE, "Idle"),
        ({"unfinished": 1}, None, "Working"),
        ({"unfinished": None}, None, "Working"),
        ({"pools_at_minimum": False}, None, "Working"),
        ({"expects_more_jobs": True}, None, "ExpectsMoreJobs"),
        ({"unfinished": 2, "is_stuck": True}, Ending.GAVE_UP, "Stuck"),
        ({"unfinished": 2, "is_stuck": True, "expects_more_jobs": True}, None, "ExpectsMoreJobs"),
        ({"crash_looping": ("default/emails",), "expects_more_jobs": True}, Ending.GAVE_UP, "CrashLooping"),
    ],
)
def test_how_a_run_ends_or_why_it_continues(change: dict[str, Any], ending: Ending | None, reason: str) -> None:
    decision = decide_ending(replace(IDLE, **change))
    assert (decision.value, decision.reason) == (ending, reason)


@pytest.mark.parametrize(
    ("spec", "desired", "running", "expected"),
    [
        ({}, 0, 0, True),
        ({}, None, 0, False),
        ({}, 1, 0, False),
        ({}, 0, 1, False),
        ({"scaling": {"min": 2}}, 2, 2, True),
        ({"scaling": {"mode": "Manual"}, "replicas": 3}, 3, 3, True),
        ({"paused": True}, 0, 1, True),
        ({"scaling": {"schedules": [{"cron": "* * * * *", "duration": "1h", "min": 3}]}}, 3, 3, True),
    ],
)
def test_is_at_minimum(spec: dict[str, Any], desired: int | None, running: int, expected: bool) -> None:  # noqa: FBT001  # a table's column
    made = PoolSpec.model_validate({"app": "a:b", "queues": ["emails"], **spec})
    assert is_at_minimum(Pool(meta=Meta(name="emails"), spec=made), desired, running, NOW) is expected


@pytest.mark.parametrize(
    ("ending", "until_idle", "has_failure", "code"),
    [
        (Ending.DONE, True, False, 0),
        (Ending.DONE, True, True, 1),
        (Ending.GAVE_UP, True, False, 1),
        (Ending.STOPPED, True, False, 130),
        (Ending.STOPPED, False, False, 0),
        (Ending.STOPPED, False, True, 1),
    ],
)
def test_the_exit_code_of_a_run(ending: Ending, until_idle: bool, has_failure: bool, code: int) -> None:  # noqa: FBT001  # a table's columns
    assert exit_code(ending, until_idle=until_idle, has_failure=has_failure) == code
