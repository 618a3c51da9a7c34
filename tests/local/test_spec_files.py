"""YAML files parsed into pools and schedules, or one line that says what is wrong and where."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from jobpools.errors import SpecError
from jobpools.local import spec_files

POOL = """\
apiVersion: jobpools.dev/v1
kind: WorkerPool
metadata: {name: emails}
spec:
  app: shop.jobs:app
  queues: [emails, {name: reports, weight: 2}]
  scaling:
    min: 0
    max: 4
"""
SCHEDULE = """\
apiVersion: jobpools.dev/v1
kind: CronJobSpec
metadata: {name: nightly}
spec:
  schedule: "0 6 * * *"
  timeZone: Europe/Berlin
  job: {name: report}
"""


def load(folder: Path, text: str, name: str = "shop.yaml") -> spec_files.SpecFiles:
    (folder / name).write_text(text)
    return spec_files.load([folder])


def test_a_pool_and_a_schedule(tmp_path: Path) -> None:
    found = load(tmp_path, f"{POOL}---\n{SCHEDULE}")
    (pool,), (schedule,) = found.pools, found.schedules
    assert (pool.meta.key, pool.spec.scaling.max) == ("default/emails", 4)
    assert [(queue.name, queue.weight) for queue in pool.spec.queues] == [("emails", 1), ("reports", 2)]
    assert (schedule.meta.key, schedule.spec.time_zone) == ("default/nightly", "Europe/Berlin")
    assert found.folders == {"default/emails": tmp_path}
    assert found.notes == ()


def test_kinds_that_only_a_cluster_uses_are_ignored_with_one_note_per_file(tmp_path: Path) -> None:
    other = "apiVersion: v1\nkind: {}\nmetadata: {{name: town}}\n"
    found = load(tmp_path, "---\n".join([POOL, other.format("Service"), other.format("ConfigMap")]))
    assert found.notes == (f"{tmp_path}/shop.yaml: ignoring Service, ConfigMap; used only on a cluster",)


def test_a_redis_of_a_pool_is_ignored_with_a_note(tmp_path: Path) -> None:
    found = load(tmp_path, POOL + "  redis: {url: redis://far.example/0}\n")
    assert found.notes == (f"{tmp_path}/shop.yaml:10: spec.redis is ignored on this machine; use --redis",)


def test_names_are_unique_per_namespace_and_kind(tmp_path: Path) -> None:
    found = load(tmp_path, f"{POOL}---\n{POOL.replace('emails}', 'emails, namespace: other}')}")
    assert [pool.meta.key for pool in found.pools] == ["default/emails", "other/emails"]


def test_files_are_read_in_order_and_each_once(tmp_path: Path) -> None:
    (tmp_path / "b.yml").write_text(POOL)
    (tmp_path / "a.yaml").write_text(SCHEDULE)
    (tmp_path / "notes.txt").write_text("{")
    assert [path.name for path in spec_files.yaml_paths([tmp_path, tmp_path / "b.yml"])] == ["a.yaml", "b.yml"]


WRONG = {
    "unknown key": (POOL.replace("max: 4", "maxx: 4"), "9: spec.scaling.maxx: unknown key; did you mean max?"),
    "unknown key at the top": (POOL.replace("spec:", "specs:"), "4: specs: unknown key; did you mean spec?"),
    "unknown key unlike any known one": (
        POOL.replace("weight: 2", "zzz: 2"),
        "6: spec.queues[1].zzz: unknown key; known: name, weight",
    ),
    "unknown key after a template with unknown keys": (
        POOL + "  template: {x: 1}\n  tmplate: {}\n",
        "11: spec.tmplate",
    ),
    "mistyped kind": (
        POOL.replace("WorkerPool", "WorkerPol"),
        "2: kind: unknown kind 'WorkerPol'; did",
    ),
    "unknown version": (POOL.replace("dev/v1", "dev/v9"), "1: apiVersion: unknown version 'jobpools.dev/v9'; write"),
    "missing kind": (POOL.replace("kind: WorkerPool\n", ""), "1: kind is missing; write apiVersion: jobpools.dev/v1"),
    "missing name": (POOL.replace("{name: emails}", "{}"), "3: metadata.name: is missing"),
    "wrong name": (POOL.replace("name: emails", "name: E_mails"), "3: metadata.name: "),
    "missing spec": (POOL.partition("spec:")[0], "1: spec: is missing"),
    "missing key": (POOL.replace("  app: shop.jobs:app\n", ""), "4: spec.app: is missing"),
    "wrong type": (POOL.replace("max: 4", 'max: "4"'), '9: spec.scaling.max: must be an integer, got "4"'),
    "wrong number": (POOL.replace("max: 4", "max: 0"), "9: spec.scaling.max: must be at least 1, got 0"),
    "wrong duration": (POOL + "    idle: soon\n", "10: spec.scaling.idle: "),
    "wrong app": (POOL.replace("shop.jobs:app", "shop.jobs"), "5: spec.app: "),
    "min greater than max": (POOL.replace("min: 0", "min: 5"), "7: spec.scaling: min (5) is greater than max (4)"),
    "duplicate queue": (POOL.replace("reports", "emails"), "4: spec: duplicate queue: emails; list each queue once"),
    "duplicate key": (POOL + "    max: 5\n", "10: spec.scaling.max: duplicate key, already in line 9; remove one"),
    "duplicate pool": (
        f"{POOL}---\n{POOL}",
        "13: metadata.name: duplicate WorkerPool default/emails, already",
    ),
    "empty URL": (POOL + '  redis: {url: ""}\n', "10: spec.redis.url: "),
    "template with an empty spec": (POOL + "  template: {spec: }\n", "10: spec.template: spec must be a mapping"),
    "not YAML": (POOL + "  x: [", "10: invalid YAML: "),
    "list instead of an object": ("- a\n- b\n", "1: not a Kubernetes object"),
    "cron of four fields": (SCHEDULE.replace("0 6 * * *", "6 * * *"), "5: spec.schedule: "),
    "cron of six fields": (SCHEDULE.replace("0 6 * * *", "0 0 6 * * *"), "5: spec.schedule: "),
    "cron out of range": (SCHEDULE.replace("0 6 * * *", "61 6 * * *"), "5: spec.schedule: "),
    "unknown time zone": (SCHEDULE.replace("Berlin", "Berlinn"), "6: spec.timeZone: "),
    "schedule and at": (SCHEDULE + "  at: 2027-01-01T00:00:00Z\n", "4: spec: set exactly one of schedule and at"),
    "at without a time zone": (
        SCHEDULE.replace('schedule: "0 6 * * *"', "at: 2027-01-01T00:00:00").replace("  timeZone: Europe/Berlin\n", ""),
        "5: spec.at: ",
    ),
    "at outside the years 1 to 9999": (
        SCHEDULE.replace('schedule: "0 6 * * *"', 'at: "9999-12-31T23:59:59-14:00"'),
        "5: spec.at: is outside the years 1 to 9999",
    ),
    **{
        f"at {text}": (
            SCHEDULE.replace('schedule: "0 6 * * *"', f"at: {text}"),
            f"5: spec.at: {json.loads(text)!r} is not a time with a UTC offset; write it as in 2027-01-01T00:00:00Z",
        )
        for text in (
            '"1800000000"',
            '"-1"',
            '"2027-01-01"',
            '"2027-01-01T09:00:00"',
            '"2027-01-01T09:00Z"',
            '"2027-01-01 09:00:00Z"',
            '"2027-01-01T09:00:00+0100"',
            '"2027-01-01T09:00:00Z\\n"',
            '"2027-01-01T09:00:00,5Z"',
            "1800000000",
            "true",
        )
    },
    "at an hour that does not exist": (
        SCHEDULE.replace('schedule: "0 6 * * *"', 'at: "2027-01-01T25:00:00Z"'),
        "5: spec.at: ",
    ),
    "duration with a line break": (
        POOL + '    idle: "90s\\n"\n',
        "10: spec.scaling.idle: '90s\\n' is not a duration; ",
    ),
    "cron of a scaling schedule": (
        POOL + '    schedules: [{cron: "* *", duration: 1h, min: 1}]\n',
        "10: spec.scaling.schedules[0].cron: ",
    ),
}


@pytest.mark.parametrize(
    "text",
    ["2027-01-01T09:00:00Z", "2027-01-01T10:00:00+01:00", "2027-01-01T09:00:00.000Z", '"2027-01-01t09:00:00z"'],
)
def test_at_is_the_time_in_its_offset(tmp_path: Path, text: str) -> None:
    found = load(tmp_path, SCHEDULE.replace('schedule: "0 6 * * *"', f"at: {text}"))
    assert found.schedules[0].spec.at == datetime(2027, 1, 1, 9, tzinfo=UTC)


@pytest.mark.parametrize(("text", "error"), WRONG.values(), ids=WRONG)
def test_an_error_names_file_line_and_key(tmp_path: Path, text: str, error: str) -> None:
    with pytest.raises(SpecError) as caught:
        load(tmp_path, text)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}/shop.yaml:{error}"), message
    assert "\n" not in message


def test_files_without_pools_and_schedules_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"the folder contains no YAML file \(\*.yaml, \*.yml\)$"):
        spec_files.load([tmp_path])
    with pytest.raises(SpecError, match=r"nowhere: no such file or folder$"):
        spec_files.load([tmp_path / "nowhere"])
    with pytest.raises(SpecError, match=r"no WorkerPool or CronJobSpec found; name files that contain some$"):
        load(tmp_path, "apiVersion: v1\nkind: Service\n")
    (tmp_path / "shop.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SpecError, match=r"shop.yaml: cannot be read: "):
        spec_files.load([tmp_path])
