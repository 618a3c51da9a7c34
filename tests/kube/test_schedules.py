"""Schedules: the operator as a process, with a real API server and a real Valkey."""

import asyncio
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from redis import Redis

from jobpools import App
from jobpools.testing import run_until_idle
from tests.cluster.kubectl import Kubectl, Object, condition
from tests.kube.processes import Operator, Valkey
from tests.support.waiting import eventually

pytestmark = pytest.mark.api

QUEUE = "jobpools:{ticks}:ready:normal"


def schedule(name: str = "tick", **spec: object) -> Object:
    base: Object = {"job": {"name": "work", "queue": "ticks", "kwargs": {"name": name}}}
    base |= {} if "at" in spec else {"schedule": "0 0 1 1 *"}
    return {"apiVersion": "jobpools.dev/v1", "kind": "CronJobSpec", "metadata": {"name": name}, "spec": base | spec}


def soon(seconds: float) -> tuple[str, float]:
    """Return the time that is `seconds` away, as YAML has it and in seconds since the epoch."""
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=seconds)
    return at.isoformat(), at.timestamp()


def status(kubectl: Kubectl, name: str = "tick") -> Object:
    found = kubectl.get("cronjobspec", name)
    return {} if found is None else found.get("status", {})


def reason(kubectl: Kubectl, name: str = "tick") -> str:
    return str(condition({"status": status(kubectl, name)}, "Ready").get("reason", ""))


def queued(valkey: Valkey) -> int:
    with Redis.from_url(valkey.url) as redis:
        return int(redis.llen(QUEUE))  # type: ignore[arg-type]  # a synchronous client


def first_enqueued_at(valkey: Valkey) -> float:
    """Return when the first queued job was enqueued, by the server's clock."""
    with Redis.from_url(valkey.url) as redis:
        (job_id,) = redis.lrange(QUEUE, 0, 0)  # type: ignore[misc]  # a synchronous client
        return float(redis.hget("jobpools:{ticks}:since", job_id)) / 1000  # type: ignore[arg-type]  # likewise


def run_worker(valkey: Valkey) -> None:
    """Run one worker in this process until the queue is empty."""
    app = App("suite", redis=valkey.url)

    @app.job(queue="ticks")
    async def work(name: str) -> str:
        return name

    asyncio.run(run_until_idle(app))


def test_a_new_schedule_reports_its_next_time(operator: Operator, kubectl: Kubectl) -> None:
    kubectl.apply(schedule(timeZone="Europe/Berlin"))
    eventually("the status says when it fires", lambda: reason(kubectl) == "Scheduled", within=10)
    reported = status(kubectl)
    assert reported["nextScheduleTime"].endswith("-12-31T23:00:00Z")
    assert (reported["fired"], reported["missed"], reported["active"], reported["observedGeneration"]) == (0, 0, 0, 1)
    assert operator.metric("operator_schedules") == 1
    columns = kubectl.run("get", "jobcrons").splitlines()
    assert columns[0].split() == ["NAME", "SCHEDULE", "TIMEZONE", "SUSPEND", "NEXT", "LAST", "STATE", "AGE"]
    assert "Europe/Berlin" in columns[1]


def test_a_schedule_fires_in_time_and_reports_the_end_of_its_job(
    operator: Operator, kubectl: Kubectl, valkey: Valkey
) -> None:
    text, at = soon(3)
    kubectl.apply(schedule(at=text))
    eventually("the job is enqueued", lambda: queued(valkey) == 1, within=10)
    assert 0 <= first_enqueued_at(valkey) - at < 0.25
    eventually(
        "the status has the state of the job",
        lambda: status(kubectl).get("lastJob", {}).get("state") == "queued",
        within=10,
    )
    run_worker(valkey)
    eventually(
        "the status says that the job has ended", lambda: status(kubectl)["lastJob"]["state"] == "completed", within=10
    )
    reported = status(kubectl)
    assert (reported["fired"], reported["active"], reason(kubectl)) == (1, 0, "Finished")
    assert "nextScheduleTime" not in reported
    assert operator.metric("operator_fires_total") == 1


def test_a_tick_fires_once_although_the_leader_is_killed(
    operator: Operator, make_operator: Callable[[str], Operator], kubectl: Kubectl, valkey: Valkey
) -> None:
    text, _ = soon(6)
    kubectl.apply(*[schedule(f"c{number}", at=text) for number in range(50)])
    eventually("the operator knows all schedules", lambda: operator.metric("operator_schedules") == 50, within=10)
    standby = make_operator("b")
    eventually("the standby is ready", lambda: standby.get("/readyz"), within=20)
    eventually("the first jobs are enqueued", lambda: queued(valkey) > 0, within=15)
    operator.signal(signal.SIGKILL)  # at any point of the pass
    eventually("the standby leads", standby.leads, within=30)

    def fired() -> list[int]:
        return [each.get("status", {}).get("fired", 0) for each in kubectl.list("cronjobspecs")]

    eventually("each schedule has fired", lambda: fired() == [1] * 50, within=20)
    assert queued(valkey) == 50, "no schedule fires twice"


def test_a_tick_that_is_due_without_a_leader_fires_later(
    operator: Operator, make_operator: Callable[[str], Operator], kubectl: Kubectl, valkey: Valkey
) -> None:
    text, at = soon(4)
    kubectl.apply(schedule(at=text), schedule("strict", at=text, startingDeadlineSeconds=1))
    eventually(
        "the operator knows both schedules",
        lambda: reason(kubectl) == reason(kubectl, "strict") == "Scheduled",
        within=10,
    )
    operator.signal(signal.SIGTERM)
    assert operator.wait() == 0
    eventually("the tick is due", lambda: time.time() > at + 1.1, within=15)
    assert queued(valkey) == 0, "no operator leads"
    make_operator("b")
    eventually("the tick is caught up", lambda: status(kubectl).get("fired") == 1, within=20)
    eventually("the tick with a deadline is missed", lambda: status(kubectl, "strict").get("missed") == 1, within=20)
    assert queued(valkey) == 1


def test_a_suspended_schedule_is_resumed(operator: Operator, kubectl: Kubectl, valkey: Valkey) -> None:
    text, at = soon(2)
    kubectl.apply(schedule(at=text, suspend=True))
    eventually("the tick is counted as missed", lambda: status(kubectl).get("missed") == 1, within=15)
    assert time.time() >= at
    assert reason(kubectl) == "Suspended"
    text, _ = soon(2)
    kubectl.patch("cronjobspec", "tick", {"spec": {"suspend": False, "at": text}})
    eventually("the new tick fires", lambda: queued(valkey) == 1, within=15)
    eventually("the fire is counted", lambda: operator.metric("operator_fires_total") == 1)


def test_an_invalid_schedule_is_reported(operator: Operator, kubectl: Kubectl) -> None:
    kubectl.apply(schedule("zone", timeZone="Europe/Atlantis"), schedule("field", schedule="61 * * * *"))

    def reasons() -> list[str]:
        return [reason(kubectl, name) for name in ("zone", "field")]

    eventually("both are reported as invalid", lambda: reasons() == ["InvalidSchedule"] * 2, within=10)
    eventually("there is an event", lambda: kubectl.list("events"), within=10)
    reported = {name: condition({"status": status(kubectl, name)}, "Ready")["message"] for name in ("zone", "field")}
    assert "did you mean Europe/Athens" in reported["zone"]
    assert "61 * * * *" in reported["field"]
    kubectl.patch("cronjobspec", "zone", {"spec": {"timeZone": "Europe/Athens"}})
    eventually("the corrected schedule is accepted", lambda: reason(kubectl, "zone") == "Scheduled", within=10)
    assert operator.metric("operator_schedules") == 2


def test_a_deleted_schedule_is_forgotten(operator: Operator, kubectl: Kubectl, valkey: Valkey) -> None:
    kubectl.apply(schedule())
    key = f"{kubectl.namespace}/tick"
    with Redis.from_url(valkey.url) as redis:
        eventually("its state is in Redis", lambda: redis.hexists("jobpools:{schedules}:state", key), within=10)
        kubectl.run("delete", "cronjobspec", "tick")
        eventually("its state is deleted", lambda: not redis.hexists("jobpools:{schedules}:state", key), within=10)
    eventually("the operator forgets it", lambda: operator.metric("operator_schedules") == 0, within=10)


def test_an_unreachable_redis_is_reported_and_ticks_wait(operator: Operator, kubectl: Kubectl, valkey: Valkey) -> None:
    text, _ = soon(3)
    kubectl.apply(schedule(at=text))
    eventually("the operator knows the schedule", lambda: reason(kubectl) == "Scheduled", within=10)
    valkey.stop()
    eventually("the status says that Redis is not known", lambda: reason(kubectl) == "RedisUnknown", within=20)
    assert status(kubectl)["fired"] == 0
    assert operator.metric("operator_fires_total") == 0


def test_a_schedule_with_its_own_redis_fires_there(operator: Operator, kubectl: Kubectl, valkey: Valkey) -> None:
    other = Valkey()
    other.start()
    try:
        text, _ = soon(2)
        kubectl.apply(schedule(at=text, redis={"url": other.url}))
        eventually("the job is enqueued there", lambda: queued(other) == 1, within=15)
        assert queued(valkey) == 0
        assert operator.metric("operator_endpoints") >= 1
    finally:
        other.stop()
