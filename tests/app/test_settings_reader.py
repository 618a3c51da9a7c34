"""Settings come from options, the environment, a file and a preset; what is wrong is named with its place."""
# ruff: noqa: E501  # one case a line: a table is read from top to bottom

import gc
import tomllib
from pathlib import Path
from typing import Any

import pytest

from jobpools import SettingsError
from jobpools.core.configuration.file_source import SettingsFile, has_settings
from jobpools.core.configuration.resolution import Facts, changes, flattened, resolve, source_of
from jobpools.core.configuration.settings_table import OPERATOR_SETTINGS, PRESETS, SETTINGS
from jobpools.core.configuration.sources import unknown_variables
from jobpools.core.configuration.toml_lines import lines_of
from jobpools.settings import ProducerSettings, WorkerSettings
from jobpools.settings_reader import Inputs, read, read_producer, with_app_url
from jobpools_operator.settings import OperatorSettings

ROOT = Path(__file__).parents[2]
OWN, PROJECT = "jobpools.toml", "pyproject.toml"


def facts(file: str = "", *, name: str = OWN, options: dict[str, Any] | None = None, **environ: str) -> Facts:
    """Return facts; a variable is written without its prefix."""
    variables = {f"JOBPOOLS_{key}": value for key, value in environ.items()}
    return Facts(options or {}, variables, SettingsFile(name, file) if file else None)


PRECEDENCE: dict[str, tuple[Facts, str, Any, str]] = {
    "nothing is set": (facts(), "concurrency", 5, "default"),
    "a preset": (facts(PRESET="production"), "concurrency", 20, "preset production"),
    "a preset in a file": (facts('preset = "development"'), "concurrency", 10, "preset development"),
    "a preset of the command line precedes that of a file": (
        facts('preset = "development"', options={"preset": "production"}), "log_interval", 300.0, "preset production",
    ),
    "a file precedes a preset": (
        facts('preset = "production"\n# slots\nconcurrency = 7'), "concurrency", 7, "jobpools.toml:3",
    ),
    "the environment precedes a file": (facts("concurrency = 7", CONCURRENCY="8"), "concurrency", 8, "JOBPOOLS_CONCURRENCY"),
    "an option precedes the environment": (
        facts("concurrency = 7", CONCURRENCY="8", options={"concurrency": 9}), "concurrency", 9, "--concurrency",
    ),
    "an option that is not given": (facts(GRACE="90", options={"grace": None}), "grace", 90.0, "JOBPOOLS_GRACE"),
    "an empty variable": (facts("grace = 5", GRACE=""), "grace", 5.0, "jobpools.toml:1"),
    "a table of pyproject.toml": (
        facts('[tool.jobpools]\n\nlog-interval = "5m"', name="deploy/pyproject.toml"), "log_interval", 300.0, "deploy/pyproject.toml:3",
    ),
    "a key of a group in a file": (facts("[job.retry]\nmaxAttempts = 9"), "job.retry.max_attempts", 9, "jobpools.toml:2"),
    "a preset fills the keys of a group that others leave": (
        facts('[job]\ntimeout = "9s"', PRESET="production"), "job.retry.max_attempts", 5, "preset production",
    ),
    "JSON in a variable overrides single keys of a file": (
        facts('[job]\ntimeout = "9s"\nmax_crashes = 2', JOB='{"timeout": "5s"}'), "job.max_crashes", 2, "jobpools.toml:3",
    ),
    "JSON in a variable": (facts(JOB='{"retry": {"maxAttempts": 4}}'), "job.retry.max_attempts", 4, "JOBPOOLS_JOB"),
    "JSON without keys": (facts('job.timeout = "9s"', JOB="{}"), "job.timeout", 9.0, "jobpools.toml:1"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("preset", "numbers"), [("", (5, 3, 60.0)), ("development", (10, 3, 60.0)), ("production", (20, 5, 300.0))]
)
def test_a_preset_sets_slots_attempts_and_the_interval_of_the_log(preset: str, numbers: tuple[int, int, float]) -> None:
    found = resolve(facts(PRESET=preset), WorkerSettings).settings
    assert (found.concurrency, found.job.retry.max_attempts, found.log_interval) == numbers


@pytest.mark.parametrize("case", PRECEDENCE)
def test_the_source_that_precedes_the_others_gives_the_value(case: str) -> None:
    given, name, value, source = PRECEDENCE[case]
    found = resolve(given, WorkerSettings)
    assert (flattened(found.settings)[name], source_of(found, name)) == (value, source)


PROBLEMS: dict[str, tuple[Facts, list[str]]] = {
    "a mistyped setting": (facts("\nconcurency = 5"), ["jobpools.toml:2: concurency: no such setting; did you mean concurrency?"]),
    "a mistyped setting of a project": (
        facts("[tool.jobpools]\nlog_intervall = 5", name=PROJECT), ["pyproject.toml:2: log_intervall: no such setting; did you mean log_interval?"],
    ),
    "a mistyped key of a group": (
        facts("[job.retry]\nmax_attempt = 5"), ["jobpools.toml:2: job.retry.max_attempt: unknown key; did you mean max_attempts?"],
    ),
    "a key of a group at the top": (facts('timeout = "5m"'), ["jobpools.toml:1: timeout: no such setting; did you mean job.timeout?"]),
    "a group of a group at the top": (
        facts("[tool.jobpools.retry]\nmaxAttempts = 5", name=PROJECT), ["pyproject.toml:1: retry: no such setting; did you mean job.retry?"],
    ),
    "true for a number": (
        facts("concurrency = true"), ["jobpools.toml:1: concurrency: no setting is true or false; write it as in 20"],
    ),
    "a value of another type": (
        facts('concurrency = "many"'), ['jobpools.toml:1: concurrency: must be an integer, got "many"; write it as in 20'],
    ),
    "a value that is too large": (
        facts("[tool.jobpools]\nconcurrency = 5000", name=PROJECT), ["pyproject.toml:2: concurrency: must be at most 1000, got 5000; write it as in 20"],
    ),
    "a duration without a unit": (
        facts('grace = "5x"'), ["jobpools.toml:1: grace: '5x' is not a duration; write a number and a unit (ms, s, m, h, d), as in 90s or 1h30m"],
    ),
    "an element of a list": (
        facts('queues = [\n  "emails",\n  {name = "x y"},\n]'),
        ['jobpools.toml:3: queues.1.name: must be letters, digits and -_. between them, as in emails.high, got "x y"'],
    ),
    "a setting in two spellings": (
        facts('log_interval = "1m"\nlog-interval = "2m"'),
        ["jobpools.toml:2: log-interval: sets the same as jobpools.toml:1: log_interval; keep one of them"],
    ),
    "a key of a group in two spellings": (
        facts(QUEUE='{"keepDead": 5, "keep_dead": 7}'),
        ["JOBPOOLS_QUEUE.keep_dead: sets the same as JOBPOOLS_QUEUE.keepDead; keep one of them"],
    ),
    "a value where a group is": (facts("job = 5"), ["jobpools.toml:1: job: must be a mapping, got 5"]),
    "an unknown preset": (facts('preset = "prod"'), ["jobpools.toml:1: preset: 'prod' is not a preset; use development or production"]),
    "an unknown preset of the command line": (
        facts(options={"preset": "prod"}), ["--preset: 'prod' is not a preset; use development or production"],
    ),
    "the table of a project in an own file": (
        facts("[tool.jobpools]\nconcurrency = 5"),
        ["jobpools.toml:1: tool: no such setting; only pyproject.toml has [tool.jobpools]: write the settings here without it"],
    ),
    "a project whose table is a value": (
        facts("tool.jobpools = 5", name=PROJECT), ["pyproject.toml:1: tool.jobpools: must be a table; write key = value in it"],
    ),
    "the name of the file in the file": (
        facts('config = "x"'), ["jobpools.toml:1: config: no such setting; name the file with --config or JOBPOOLS_CONFIG"],
    ),
    "a file that is not TOML": (
        facts("a = 1\nb = [1"), ["jobpools.toml: not valid TOML: Unclosed array (at end of document); correct the file"],
    ),
    "a line that is not TOML": (
        facts("a = 1\nb c = 1"),
        ["jobpools.toml:2: not valid TOML: Expected '=' after a key in a key/value pair (at line 2, column 3); correct the file"],
    ),
    "a number of too many digits": (
        facts("grace = " + "9" * 5000), ["jobpools.toml: not valid TOML: Exceeds the limit (4300 digits) for integer string conversion: value has 5000 digits; use sys.set_int_max_str_digits() to increase the limit; correct the file"],
    ),
    "nesting that is too deep": (
        facts("grace = " + "[" * 5000), ["jobpools.toml: not valid TOML: maximum recursion depth exceeded; correct the file"],
    ),
    "JSON in a variable": (
        facts(JOB='{"maxCrashes": 0}'), ["JOBPOOLS_JOB.maxCrashes: must be at least 1, got 0"],
    ),
    "limits of queues": (
        facts("[queue]\nmax_depth = 5"), ["jobpools.toml:2: queue.max_depth: a worker sets no limits of queues; use App(queues=…) or jobpools queues set"],
    ),
    "all at once": (
        facts("concurency = 1\n[job]\ntimeout = 0", GRACE="x", LOG="yaml"),
        [
            "jobpools.toml:1: concurency: no such setting; did you mean concurrency?",
            "jobpools.toml:3: job.timeout: must be more than 0s",
            "JOBPOOLS_GRACE: 'x' is not a duration; write a number and a unit (ms, s, m, h, d), as in 90s or 1h30m",
            "JOBPOOLS_LOG: must be 'text' or 'json', got \"yaml\"; write it as in json",
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", PROBLEMS)
def test_each_problem_is_one_line_with_its_place(case: str) -> None:
    given, problems = PROBLEMS[case]
    gc.collect()  # or objects of earlier tests would be finalized where nesting has used up the stack
    with pytest.raises(SettingsError) as raised:
        resolve(given, WorkerSettings)
    assert list(raised.value.problems) == problems
    assert str(raised.value) == "\n".join(problems)


def test_a_producer_reads_its_own_settings_only() -> None:
    given = facts(
        'redis_url = "redis://file"\nconcurrency = "many"', GRACE="x", MAX_PAYLOAD="2000", PRESET="production"
    )
    found = resolve(given, ProducerSettings).settings
    assert (found.redis_url, found.max_payload) == ("redis://file", 2000)
    with pytest.raises(SettingsError, match="concurency: no such setting"):
        resolve(facts("concurency = 1"), ProducerSettings)


def test_the_table_names_each_setting_once_with_its_default() -> None:
    assert [each.name for each in SETTINGS] == list(WorkerSettings.model_fields)
    assert ProducerSettings.model_fields.keys() <= WorkerSettings.model_fields.keys()
    flat = flattened(WorkerSettings())
    assert all(values.keys() <= flat.keys() for values in PRESETS.values())
    for setting in SETTINGS:
        assert resolve(Facts({}, {setting.variable: setting.example}), WorkerSettings), "the example is valid"
        if setting.default is not None:
            assert flat[setting.name] == setting.default


def test_the_lines_of_a_real_file_are_those_of_its_keys() -> None:
    text = (ROOT / PROJECT).read_text()
    lines = lines_of(text)
    assert text.splitlines()[lines["tool", "ruff", "lint", "mccabe", "max-complexity"] - 1].startswith("max-complexity")
    assert {key[1] for key in lines if len(key) > 1 and key[0] == "tool"} == tomllib.loads(text)["tool"].keys()


def test_an_operator_lists_all_invalid_variables() -> None:
    environ = {"JOBPOOLS_NAMESPACES": "shop, billing,", "JOBPOOLS_CONCURRENCY": "that of a worker"}
    found = OperatorSettings.from_env(environ)
    assert (found.namespaces, found.probe_port) == (("shop", "billing"), 8080)
    assert [each.name for each in OPERATOR_SETTINGS] == list(OperatorSettings.model_fields)
    with pytest.raises(SettingsError) as raised:
        OperatorSettings.from_env({"JOBPOOLS_PROBE_PORT": "x", "JOBPOOLS_LOG": "yaml"})
    assert raised.value.problems == (
        'JOBPOOLS_PROBE_PORT: must be an integer, got "x"; write it as in 8080',
        "JOBPOOLS_LOG: must be 'text' or 'json', got \"yaml\"; write it as in json",
    )


def test_a_mistyped_variable_is_noticed_and_those_of_services_are_not() -> None:
    environ = {"JOBPOOLS_CONCURENCY": "5", "JOBPOOLS_VALKEY_SERVICE_HOST": "10.0.0.1", "JOBPOOLS_LOG": "json"}
    assert unknown_variables(environ) == ("JOBPOOLS_CONCURENCY: no such setting; did you mean JOBPOOLS_CONCURRENCY?",)


def inputs(folder: Path, config: str | None = None, **environ: str) -> Inputs:
    return Inputs({"config": config}, {f"JOBPOOLS_{key}": value for key, value in environ.items()}, folder)


def test_a_file_of_the_current_folder_is_read_unless_another_is_named(tmp_path: Path) -> None:
    assert read(inputs(tmp_path)).settings.concurrency == 5
    (tmp_path / PROJECT).write_text('[project]\ndependencies = ["jobpools"]\n')
    assert read(inputs(tmp_path)).settings.concurrency == 5
    (tmp_path / OWN).write_text("concurrency = 6", encoding="utf-8-sig")  # as Windows editors do
    (tmp_path / "other.toml").write_text("concurrency = 7")
    assert read(inputs(tmp_path)).settings.concurrency == 6
    assert read(inputs(tmp_path, CONFIG="other.toml")).settings.concurrency == 7
    assert read(inputs(tmp_path, OWN, CONFIG="other.toml")).settings.concurrency == 6
    (tmp_path / PROJECT).write_text("[tool.jobpools]\nconcurrency = 8")
    with pytest.raises(SettingsError, match=r"^jobpools\.toml: pyproject\.toml has settings too, .*; keep them in one"):
        read(inputs(tmp_path))
    (tmp_path / OWN).unlink()
    assert read(inputs(tmp_path)).settings.concurrency == 8
    assert read_producer(inputs(tmp_path, REDIS_URL="redis://env")).redis_url == "redis://env"


@pytest.mark.parametrize(
    ("config", "environ", "message"),
    [
        ("x.toml", {}, r"^--config: x\.toml: there is no such file; name a file with settings$"),
        (None, {"CONFIG": "x.toml"}, r"^JOBPOOLS_CONFIG: x\.toml: there is no such file"),
        ("folder", {}, r"folder: cannot be read: Is a directory; make it readable, or remove it$"),
        ("latin", {}, r"latin: not UTF-8: .*; save it as UTF-8$"),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path: Path, config: str | None, environ: dict[str, str], message: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "latin").write_bytes(b"# \xe9")
    with pytest.raises(SettingsError, match=message):
        read(inputs(tmp_path, config, **environ))


def test_reading_again_says_what_changed_and_where(tmp_path: Path) -> None:
    (tmp_path / OWN).write_text('grace = "10s"\nlog_interval = "1m"')
    given = inputs(tmp_path, CONCURRENCY="4")
    before = read(given)
    assert changes(before, read(given)) == ()
    (tmp_path / OWN).write_text('\nlog_interval = "2m"\nconcurrency = 9\n[job.retry]\nmax_attempts = 7')
    after = read(given)
    changed = changes(before, after)
    assert [(each.name, each.before, each.after, each.source) for each in changed] == [
        ("job.retry.max_attempts", 3, 7, "jobpools.toml:5"),
        ("grace", 10.0, 30.0, "default"),
        ("log_interval", 60.0, 120.0, "jobpools.toml:2"),
    ]
    assert after.settings.concurrency == 4, "the environment precedes the file"
    (tmp_path / OWN).write_text("grce = 1")
    with pytest.raises(SettingsError, match="grce: no such setting; did you mean grace"):
        read(given)


@pytest.mark.parametrize(
    ("given", "url"),
    [
        (facts(), "redis://app"),
        (facts('redis_url = "redis://file"'), "redis://app"),
        (facts(REDIS_URL="redis://env"), "redis://env"),
        (facts(options={"redis_url": "redis://option"}), "redis://option"),
    ],
)
def test_the_url_of_the_app_that_a_worker_runs_comes_after_the_environment_and_before_a_file(
    given: Facts, url: str
) -> None:
    found = resolve(given, WorkerSettings)
    assert with_app_url(found, "redis://app").redis_url == url
    assert with_app_url(found, None) == found.settings


def test_a_project_without_settings_is_not_read() -> None:
    assert not has_settings("[project]\nname = 'shop'")
    assert not has_settings("[project]\ndependencies = ['jobpools'\n"), "invalid TOML without the table [tool.jobpools]"
    assert has_settings("[tool.jobpools]\ngrace = [")
    assert has_settings("tool.jobpools.grace = 5")
