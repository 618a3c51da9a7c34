"""`jobpools config` shows settings and where they come from, and lists all that are wrong."""

import json
from pathlib import Path

import yaml

from tests.cli.conftest import Shell

FILE = """redis_url = "redis://:secret@127.0.0.1:1/0"
log-interval = "90s"
[job.retry]
max_attempts = 8
"""


def test_each_setting_is_shown_with_its_place_and_without_passwords(jobpools: Shell, folder: Path) -> None:
    (folder / "jobpools.toml").write_text(FILE)
    env = {"JOBPOOLS_REDIS_URL": "", "JOBPOOLS_GRACE": "3725", "JOBPOOLS_CONCURENCY": "5"}
    ran = jobpools("config", "--preset", "production", env=env)
    rows = {line.split()[0]: line.split()[1:] for line in ran.out.splitlines()}
    assert rows["config"] == ["jobpools.toml", "current", "folder"]
    assert rows["preset"] == ["production", "--preset"]
    assert rows["redis_url"] == ["redis://:***@127.0.0.1:1/0", "jobpools.toml:1"]
    assert rows["log_interval"] == ["90s", "jobpools.toml:2"]
    assert rows["job.retry.max_attempts"] == ["8", "jobpools.toml:4"]
    assert rows["concurrency"] == ["20", "preset", "production"]
    assert rows["grace"] == ["3725s", "JOBPOOLS_GRACE"], "a duration is exact"
    assert rows["lease"] == ["10s", "default"]
    assert ran.err == "jobpools: JOBPOOLS_CONCURENCY: no such setting; did you mean JOBPOOLS_CONCURRENCY?\n"
    found = {each["setting"]: each for each in json.loads(jobpools("config", "-o", "json", env=env).out)}
    assert found == {each["setting"]: each for each in yaml.safe_load(jobpools("config", "-o", "yaml", env=env).out)}
    assert found["redis_url"]["value"] == "redis://:***@127.0.0.1:1/0"
    assert (found["grace"]["value"], found["lease"]["value"]) == (3725.0, 10.0), "seconds"
    assert found["queues"] | {"meaning": ""} == {
        "setting": "queues", "value": [], "from": "default", "variable": "JOBPOOLS_QUEUES", "option": "--queues",
        "meaning": "",
    }  # fmt: skip


def test_the_url_of_an_app_is_shown_with_its_source(jobpools: Shell, folder: Path) -> None:
    (folder / "jobpools.toml").write_text(FILE)
    (folder / "far.py").write_text('from jobpools import App\n\napp = App("far", redis="redis://:secret@far/0")\n')
    shown = jobpools("config", "far:app", env={"JOBPOOLS_REDIS_URL": ""}).out
    assert "redis_url                redis://:***@far/0   App(redis=…)\n" in shown
    assert "app                      far:app              APP\n" in shown
    shown = jobpools("config", "far:app", env={"JOBPOOLS_REDIS_URL": "redis://env"}).out
    assert "redis_url                redis://env      JOBPOOLS_REDIS_URL\n" in shown


def test_every_command_lists_all_unknown_and_invalid_settings(jobpools: Shell, folder: Path) -> None:
    (folder / "pyproject.toml").write_text('[tool.jobpools]\nconcurency = 5\ngrace = "x"\n')
    unknown = "jobpools: pyproject.toml:2: concurency: no such setting; did you mean concurrency?\n"
    invalid = (
        "jobpools: pyproject.toml:3: grace: 'x' is not a duration; write a number and a unit (ms, s, m, h, d), "
        "as in 90s or 1h30m\n"
    )
    for words, lines in {
        ("config",): unknown + invalid,
        ("worker", "store:app"): unknown + invalid,
        ("enqueue", "store:app", "send", "to=ada"): unknown,  # it does not read the grace
    }.items():
        ran = jobpools(*words)
        assert (ran.code, ran.out, ran.err) == (1, "", lines)
