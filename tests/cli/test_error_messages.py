"""A wrong command line, option, file or variable is reported in one line with its place and its fix; nothing changes."""
# ruff: noqa: E501  # one case a line: a table is read from top to bottom

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from redis import Redis

from tests.cli.conftest import APP, POOL, Shell, dump

SCHEDULE = """
apiVersion: jobpools.dev/v1
kind: CronJobSpec
metadata: {name: nightly}
spec:
  job: {name: send, queue: emails}
"""


@dataclass(frozen=True)
class Wrong:
    """A wrong command line, and the one line that it must print."""

    words: str
    message: str
    """A regular expression for the whole line after `jobpools: `."""
    code: int = 1
    env: dict[str, str] = field(default_factory=dict)
    files: dict[str, str | bytes] = field(default_factory=dict)


def check(wrong: Wrong, jobpools: Shell, folder: Path, client: Redis) -> None:
    for name, text in wrong.files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    jobpools("enqueue", "store:app", "send", "to=ada", "--id", "known")
    before = dump(client)
    assert before
    ran = jobpools(*shlex.split(wrong.words), env=wrong.env)
    assert ran.err.count("\n") == 1, ran
    assert re.fullmatch(f"jobpools: {wrong.message}\n", ran.err), ran.err
    assert ran.code == wrong.code
    assert ran.out == ""
    assert dump(client) == before


COMMAND_LINE = {
    "an argument that is not UTF-8": Wrong(
        "queues pause emails --reason '\udcff'", r"'\\udcff': the argument is not UTF-8; write it in UTF-8", 2
    ),
    "mistyped command": Wrong("quues", r"quues: no such command; did you mean queues\? \(jobpools --help\)", 2),
    "mistyped command of a group": Wrong("jobs lst", r"lst: no such command; did you mean list\? \(jobpools jobs --help\)", 2),
    "mistyped option": Wrong("up . --plto x", r"--plto: no such option; did you mean --plot\? \(jobpools up --help\)", 2),
    "missing argument": Wrong("up", r"FILES: is missing \(jobpools up --help\)", 2),
    "surplus argument": Wrong("pools emails", r"emails: unexpected argument \(jobpools pools --help\)", 2),
    "missing value of an option": Wrong("queues --redis", r"--redis: a value is missing \(jobpools queues list --help\)", 2),
    "unknown output format": Wrong("queues -o xml", r"--output: 'xml' is not one of 'table', 'json', 'yaml' \(jobpools queues list --help\)", 2),
    "unknown state": Wrong("jobs --state ded", r"--state: 'ded' is not one of .*'dead'.*", 2),
    "limit of 0": Wrong("jobs --limit 0", r"--limit: must be at least 1, got \"0\" .*", 2),
    "option of a command before the command": Wrong("--redis x queues", r"--redis: this option belongs to a command; write it after the command \(jobpools --help\)", 2),
    "value for a flag": Wrong("up . --fire=1", r"--fire: takes no value \(jobpools up --help\)", 2),
    "text for a number": Wrong("worker --concurrency many", r"--concurrency: must be an integer, got \"many\" .*", 2),
    "group options before a subcommand": Wrong("jobs --queue emails show known", r"show known: unexpected arguments .*", 2),
}  # fmt: skip

WORKER = {
    "missing app": Wrong("worker", r"worker: no app given; write jobpools worker module:name or set JOBPOOLS_APP"),
    "missing app, with an option": Wrong("worker --concurrency 2", r"worker: no app given; .*"),
    "module without an attribute": Wrong("worker store", r"'store' does not name an app; write module:name, as in shop\.jobs:app"),
    "unknown module": Wrong("worker stoer:app", r"stoer:app: there is no module stoer, neither in /\S+ nor installed"),
    "unknown module in a package": Wrong("worker json.jobs:app", r"json\.jobs:app: there is no module json\.jobs, .*"),
    "module that imports an unknown module": Wrong(
        "worker lost:app", r"lost:app: importing it failed: ModuleNotFoundError: No module named 'nothere' \(/\S+lost\.py:2\)",
        files={"lost.py": "import os\nimport nothere\n"},
    ),
    "module that raises an exception": Wrong(
        "worker boom:app", r"boom:app: importing it failed: RuntimeError: first second \(/\S+boom\.py:1\)",
        files={"boom.py": "raise RuntimeError('first\\nsecond')\n"},
    ),
    "module with a syntax error": Wrong(
        "worker odd:app", r"odd:app: importing it failed: SyntaxError: .*odd\.py, line 1\)", files={"odd.py": "def x(:\n"}
    ),
    "mistyped attribute": Wrong("worker store:ap", r"store:ap: module store has no 'ap'; did you mean app\?"),
    "module without an App": Wrong("worker bare:app", r"bare:app: module bare has no 'app'; write app = App\(\"name\"\) there", files={"bare.py": ""}),
    "attribute that is not an App": Wrong("worker store:number", r"store:number is an int, not an App; write app = App\(\"name\"\) there"),
    "app without jobs": Wrong(
        "worker idle:app", r"app idle: it has no jobs; .*@app\.job", files={"idle.py": APP.partition("@app")[0].replace("store", "idle")}
    ),
    "0 slots": Wrong("worker store:app --concurrency 0", r"--concurrency: must be at least 1, got 0; write it as in 20"),
    "too many slots": Wrong("worker store:app --concurrency 1001", r"--concurrency: must be at most 1000, got 1001; write it as in 20"),
    "empty queue name": Wrong("worker store:app --queues a,,b=2", r"--queues: '' is not a queue; write names, .*emails,reports=2"),
    "invalid weight": Wrong("worker store:app --queues a,b=x", r"--queues: 'b=x' is not a queue; write names, .*emails,reports=2"),
    "weight of 0": Wrong("worker store:app --queues b=0", r"--queues: b: must be at least 1, got 0"),
    "queue name with braces": Wrong("worker store:app --queues {b}", r"--queues: \{b\}: must be letters, .*"),
    "duplicate queue": Wrong("worker store:app --queues a,a", r"--queues: duplicate queue: a; name each queue once"),
    "pool without a namespace": Wrong("worker store:app --pool mail", r"--pool: must be .*, got \"mail\"; write it as in default/emails"),
    "invalid grace": Wrong("worker store:app --grace 5x", r"--grace: '5x' is not a duration; write .* as in 90s or 1h30m"),
    "unknown log format": Wrong("worker store:app --log yaml", r"--log: must be 'text' or 'json', got \"yaml\"; write it as in json"),
    "invalid port": Wrong("worker store:app --probe-port 99999", r"--probe-port: must be at most 65535, got 99999; write it as in 8080"),
    "slots as text": Wrong("worker store:app", r"JOBPOOLS_CONCURRENCY: must be an integer, got \"many\"; write it as in 20", env={"JOBPOOLS_CONCURRENCY": "many"}),
    "queues that are not JSON": Wrong("worker store:app", r"JOBPOOLS_QUEUES: 'emails' is not JSON: .*; write it as in \[\"emails\"\]", env={"JOBPOOLS_QUEUES": "emails"}),
    "job timeout of 0 in the environment": Wrong("worker store:app", r"JOBPOOLS_JOB\.timeout: must be more than 0s", env={"JOBPOOLS_JOB": '{"timeout": "0s"}'}),
    "unknown key in JSON": Wrong("worker store:app", r"JOBPOOLS_JOB\.timeoutt: unknown key; did you mean timeout\?", env={"JOBPOOLS_JOB": '{"timeoutt": "5s"}'}),
    "lease of 0": Wrong("worker store:app", r"JOBPOOLS_LEASE: must be greater than 0, got 0\.0; write it as in 10s", env={"JOBPOOLS_LEASE": "0"}),
    "payload limit as text": Wrong("worker store:app", r"JOBPOOLS_MAX_PAYLOAD: must be an integer, got \"1M\"; write it as in 1048576", env={"JOBPOOLS_MAX_PAYLOAD": "1M"}),
    "invalid file descriptor": Wrong("worker store:app", r"JOBPOOLS_READY_FD: 'x' is not an open file descriptor; unset it, only `jobpools up` sets it", env={"JOBPOOLS_READY_FD": "x"}),
}  # fmt: skip

ENQUEUE = {
    "app without a job name": Wrong("enqueue store:app", r"store:app: no job named; write its name after the app, as in enqueue store:app NAME"),
    "unknown job": Wrong("enqueue store:app sned to=a", r"app store: no job 'sned'; give queue= .*; did you mean send\?"),
    "job name without a queue": Wrong("enqueue send to=a", r"send: no queue given; use --queue, or name the app, as in shop\.jobs:app send"),
    "argument without a name": Wrong("enqueue store:app send ada", r"'ada': not an argument; write name=value, as in to=ada@example\.com"),
    "duplicate argument": Wrong("enqueue store:app send to=a to=b", r"to: duplicate argument; give it once"),
    "missing argument": Wrong("enqueue store:app send", r"send: to: is missing"),
    "mistyped argument": Wrong("enqueue store:app send to=a copeis=2", r"send: copeis: no such argument; did you mean copies\?"),
    "wrong type": Wrong("enqueue store:app send to=a copies=two", r"send: copies: must be an integer"),
    "too large arguments": Wrong(
        f"enqueue store:app send to={'x' * 2000}", r"send: the encoded job takes 2\d\d\d bytes, more than 1500; send a reference .*",
        env={"JOBPOOLS_MAX_PAYLOAD": "1500"},
    ),
    "payload limit as text": Wrong(
        "enqueue store:app send to=a", r"JOBPOOLS_MAX_PAYLOAD: must be an integer, got \"1M\"; write it as in 1048576",
        env={"JOBPOOLS_MAX_PAYLOAD": "1M"},
    ),
    "delay without a unit": Wrong("enqueue store:app send to=a --delay 5", r"enqueue send: delay: '5' is not a duration; .*as in 90s or 1h30m"),
    "invalid time": Wrong("enqueue store:app send to=a --at tomorrow", r"--at: 'tomorrow' is not a time; write a time with its offset, .*"),
    "time without a time zone": Wrong("enqueue store:app send to=a --at 2027-01-01T00:00:00", r"--at: '2027-01-01T00:00:00' is not a time; write a time with its offset, .*"),
    "expiry without a unit": Wrong("enqueue store:app send to=a --expires 5", r"enqueue send: expires: '5' is not a duration; .*as in 90s or 1h30m"),
    "timeout of 0": Wrong("enqueue store:app send to=a --timeout 0s", r"enqueue send: timeout: must be .*"),
    "metadata without a key": Wrong("enqueue store:app send to=a --metadata acme", r"--metadata: 'acme' is not metadata; write key=value, as in tenant=acme"),
    "duplicate metadata": Wrong("enqueue store:app send to=a --metadata a=1 --metadata a=2", r"--metadata: duplicate key: a; give it once"),
    "at and delay": Wrong("enqueue store:app send to=a --at 2027-01-01T00:00:00Z --delay 5s", r"enqueue send: at and delay exclude each other; give one of them"),
    "unknown priority": Wrong("enqueue store:app send to=a --priority urgent", r"enqueue send: priority: 'urgent' is not a priority; use high, normal or low"),
    "queue name with braces": Wrong("enqueue send to=a --queue {x}", r"enqueue send: queue: '\{x\}' is not a queue name; .*"),
    "id that is not ASCII": Wrong("enqueue store:app send to=a --id \u00e4", r"enqueue send: id: 'ä' cannot be an id; use 1 to 200 printable .*"),
    "negative wait": Wrong("enqueue store:app send to=a --wait -1", r"--wait: must be at least 0, got \"-1\" .*", 2),
    "unknown app": Wrong("enqueue stoer:app send to=a", r"stoer:app: there is no module stoer, .*"),
}  # fmt: skip

LISTINGS = {
    "unknown job id": Wrong("jobs show nope", r"job nope: not found in any queue; check the id \(a record is deleted when its retention is over\)"),
    "unknown job id in this queue": Wrong("jobs show nope -q emails", r"job nope: not found in queue emails; .*"),
    "mistyped queue": Wrong("jobs -q emals", r"queue emals: it has never had a job; did you mean emails\?"),
    "cancel of an unknown job": Wrong("jobs cancel nope", r"job nope: not found in any queue; .*"),
    "replay of a job that is not dead": Wrong("dead replay known", r"job known: it is queued, not dead; leave out this id \(nothing was changed\)"),
    "replay of an unknown job": Wrong("dead replay nope", r"job nope: not found in any queue; .*"),
    "neither ids nor --all": Wrong("dead purge", r"dead purge: no jobs are selected; give ids, a condition such as --name NAME, or --queue NAME --all"),
    "ids and --all": Wrong("dead purge known --all", r"dead purge: ids exclude --all and all conditions but --queue; give ids, or a condition such as --name NAME"),
    "--all without a queue": Wrong("dead purge --all", r"--all: no queue given; add --queue NAME"),
    "--all of a mistyped queue": Wrong("dead purge --all -q emals", r"queue emals: it has never had a job; did you mean emails\?"),
    "invalid duration": Wrong("stats --over 1", r"--over: '1' is not a duration; .*"),
    "history longer than a day": Wrong("stats --since 25h", r"--since: 1d1h: the history has full minutes of the last 24 hours; use 1m to 24h"),
    "part of a minute": Wrong("stats --since 1h --step 90s", r"--step: 90s: the history has full minutes .*; use 1m to 24h"),
    "step without a history": Wrong("stats --step 5m", r"--step: it applies to the history; add --since, as in --since 6h"),
    "history of a mistyped queue": Wrong("stats --since 1h -q emals", r"queue emals: it has never had a job; did you mean emails\?"),
    "plot of a history in a missing folder": Wrong("stats --since 1h --plot /nowhere/day.png", r"--plot /nowhere/day\.png: the folder /nowhere does not exist; create it first"),
    "invalid URL": Wrong("queues --redis foo", r"foo: not a Redis URL; use redis://host:6379/0, .*"),
    "URL of another scheme": Wrong("queues --redis http://h/", r"http://h/: not a Redis URL.*; .*"),
    "URL with an invalid port": Wrong("queues --redis redis://h:x/0", r"redis://h:x/0: not a Redis URL.*; .*"),
    "unreachable Redis": Wrong("queues --redis redis://127.0.0.1:1/0", r"redis://127\.0\.0\.1:1/0: cannot be reached: Connection refused"),
    "unreachable sentinels": Wrong("queues --redis redis+sentinel://127.0.0.1:1/0?master=m", r"redis\+sentinel://127\.0\.0\.1:1/0\?master=m: cannot be reached: no sentinel names a reachable master 'm'"),
    "missing Unix socket": Wrong("workers --redis unix:///no.sock", r"unix:///no\.sock: cannot be reached: No such file or directory"),
    "password in the URL is not shown": Wrong("jobs --redis redis://:secret@127.0.0.1:1/0", r"redis://:\*\*\*@127\.0\.0\.1:1/0: .*refused"),
    "invalid URL in the environment": Wrong("queues", r"nowhere: not a Redis URL.*; .*", env={"JOBPOOLS_REDIS_URL": "nowhere"}),
    "enqueue to an unreachable Redis": Wrong("enqueue store:app send to=a --redis redis://127.0.0.1:1/0", r"redis://127\.0\.0\.1:1/0: cannot be reached: .*"),
}  # fmt: skip


def yaml(text: str, message: str) -> Wrong:
    return Wrong("plan bad.yaml", message, files={"bad.yaml": text})


def pool(line: str, message: str, *, at: int = 8) -> Wrong:
    return yaml(f"{POOL}  {line}\n", rf"bad\.yaml:{at}: spec\.{message}")


def schedule(line: str, message: str) -> Wrong:
    return yaml(f"{SCHEDULE}  {line}\n", rf"bad\.yaml:{message}")


FILES = {
    "unknown key": pool("concurency: 3", r"concurency: unknown key; did you mean concurrency\?", at=9),
    "unknown key deep inside": pool("job: {retry: {maxAttemps: 3}}", r"job\.retry\.maxAttemps: unknown key; did you mean maxAttempts\?", at=9),
    "unknown key at the top": yaml(f"{POOL}spce: 1\n", r"bad\.yaml:9: spce: unknown key; did you mean spec\?"),
    "wrong type": pool("concurrency: five", r"concurrency: must be an integer, got \"five\"", at=9),
    "quoted number": pool('concurrency: "5"', r"concurrency: must be an integer, got \"5\"", at=9),
    "job timeout of 0": pool("job: {timeout: 0s}", r"job\.timeout: must be more than 0s", at=9),
    "job timeout of 0 in another notation": pool("job: {timeout: 0h0.0m}", r"job\.timeout: must be more than 0s", at=9),
    "duration without a unit": pool("job: {timeout: 60}", r"job\.timeout: 60 is not a duration; .*as in 90s or 1h30m", at=9),
    "text for a list": yaml(POOL.replace("[emails]", "emails"), r"bad\.yaml:7: spec\.queues: must be a list, got \"emails\""),
    "empty list of queues": yaml(POOL.replace("[emails]", "[]"), r"bad\.yaml:7: spec\.queues: must have 1 or more items, got \[\]"),
    "duplicate queue": yaml(POOL.replace("[emails]", "[a, a]"), r"bad\.yaml:5: spec: duplicate queue: a; list each queue once"),
    "invalid queue name": yaml(POOL.replace("[emails]", "['a b']"), r"bad\.yaml:7: spec\.queues\[0\]\.name: must be letters, .*, got \"a b\".*"),
    "invalid app": yaml(POOL.replace("store:app", "store.app"), r"bad\.yaml:6: spec\.app: must be module:name, as in shop\.jobs:app, .*"),
    "min greater than max": yaml(POOL.replace("max: 3", "min: 4, max: 3"), r"bad\.yaml:8: spec\.scaling: min \(4\) is greater than max \(3\); lower min or raise max"),
    "replicas without Manual": yaml(f"{POOL}  replicas: 2\n", r"bad\.yaml:5: spec: replicas is used only with scaling\.mode: Manual; remove it or set that mode"),
    "unknown mode": yaml(POOL.replace("max: 3", "mode: auto"), r"bad\.yaml:8: spec\.scaling\.mode: must be 'Auto' or 'Manual', got \"auto\""),
    "scaling schedule of 4 fields": yaml(
        POOL.replace("max: 3", "schedules: [{cron: '* * * *', duration: 1h, min: 1}]"),
        r"bad\.yaml:8: spec\.scaling\.schedules\[0\]\.cron: '\* \* \* \*' has 4 fields, not 5 .*",
    ),
    "schedule of 4 fields": schedule("schedule: '* * * *'", r"7: spec\.schedule: '\* \* \* \*' has 4 fields, not 5 \(minute hour day month weekday\)"),
    "schedule of 6 fields": schedule("schedule: '0 * * * * *'", r"7: spec\.schedule: '0 \* \* \* \* \*' has 6 fields, not 5 .*"),
    "schedule out of range": schedule("schedule: '61 * * * *'", r"7: spec\.schedule: '61 \* \* \* \*' is not a cron expression: .*"),
    "schedule without a possible date": schedule("schedule: '0 0 30 2 *'", r"7: spec\.schedule: '0 0 30 2 \*' never fires: .*"),
    "unknown time zone": schedule("schedule: '@daily'\n  timeZone: Europe/Berlim", r"8: spec\.timeZone: 'Europe/Berlim' is unknown; did you mean Europe/Berlin\?"),
    "neither schedule nor at": yaml(SCHEDULE, r"bad\.yaml:5: spec: set exactly one of schedule and at"),
    "both schedule and at": schedule("schedule: '@daily'\n  at: 2027-01-01T00:00:00Z", r"5: spec: set exactly one of schedule and at"),
    "time without a time zone": schedule("at: 2027-01-01T00:00:00", r"7: spec\.at: .* is not a time with a UTC offset; write it as in 2027-01-01T00:00:00Z"),
    "duplicate name": yaml(f"{POOL}---{POOL}", r"bad\.yaml:12: metadata\.name: duplicate WorkerPool default/mail, already defined at bad\.yaml:2; rename one of them"),
    "duplicate name in two files": Wrong(
        "plan pool.yaml bad.yaml", r"bad\.yaml:4: metadata\.name: duplicate WorkerPool default/mail, already defined at pool\.yaml:2; rename one of them",
        files={"bad.yaml": POOL},
    ),
    "duplicate key": pool("paused: true\n  paused: false", r"paused: duplicate key, already in line 9; remove one", at=10),
    "invalid name": yaml(POOL.replace("name: mail", "name: Mail_Out"), r"bad\.yaml:4: metadata\.name: must be lower-case .*, got \"Mail_Out\""),
    "too long name": yaml(POOL.replace("name: mail", f"name: {'m' * 48}"), r"bad\.yaml:4: metadata\.name: must be at most 47 characters long, got .*"),
    "missing name": yaml(POOL.replace("{name: mail}", "{}"), r"bad\.yaml:4: metadata\.name: is missing"),
    "missing spec": yaml(POOL.partition("spec")[0], r"bad\.yaml:2: spec: is missing"),
    "not YAML": yaml("a: [1\n", r"bad\.yaml:2: invalid YAML: expected ',' or '\]', .*"),
    "tab": yaml("\ta: 1\n", r"bad\.yaml:1: invalid YAML: found character '\\t' .*"),
    "Python object in YAML": yaml("a: !!python/object:os.system {}\n", r"bad\.yaml:1: invalid YAML: .*"),
    "anchor that contains its own alias": yaml("&a [*a]\n", r"bad\.yaml: an anchor \(&\) contains an alias \(\*\) of itself; remove the alias"),
    "empty file": yaml("", r"bad\.yaml: no WorkerPool or CronJobSpec found; name files that contain some"),
    "file of comments": yaml("# later\n", r"bad\.yaml: no WorkerPool or CronJobSpec found; name files that contain some"),
    "list instead of an object": yaml("[1, 2]\n", r"bad\.yaml:1: not a Kubernetes object; .*"),
    "only other kinds": yaml("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n", r"bad\.yaml: no WorkerPool or CronJobSpec found; name files that contain some"),
    "mistyped kind": yaml(POOL.replace("WorkerPool", "WorkPool"), r"bad\.yaml:3: kind: unknown kind 'WorkPool'; did you mean WorkerPool\?"),
    "unknown version": yaml(POOL.replace("dev/v1", "dev/v2"), r"bad\.yaml:2: apiVersion: unknown version 'jobpools\.dev/v2'; write jobpools\.dev/v1"),
    "missing version": yaml("kind: WorkerPool\n", r"bad\.yaml:1: apiVersion is missing; .*"),
    "file that is not text": Wrong("plan bad.yaml", r"bad\.yaml: cannot be read: 'utf-8' codec .*", files={"bad.yaml": b"\xff\xfe\x00"}),
    "missing file": Wrong("plan none.yaml", r"none\.yaml: no such file or folder"),
    "folder without YAML": Wrong("plan empty", r"empty: the folder contains no YAML file \(\*\.yaml, \*\.yml\)", files={"empty/readme.txt": ""}),
    "file that is not YAML": Wrong("plan store.py", r"store\.py:\d+: invalid YAML: .*"),
    "invalid namespace": Wrong("plan pool.yaml --namespace A_B", r"pool\.yaml:4: metadata\.namespace: must be .*, got \"A_B\""),
    "file that cannot be read": Wrong("plan /proc/self/mem", r"/proc/self/mem: cannot be read: .*"),
}  # fmt: skip

UP = {
    "file with an error": Wrong("up bad.yaml", r"bad\.yaml:9: spec\.pauset: unknown key; did you mean paused\?", files={"bad.yaml": f"{POOL}  pauset: true\n"}),
    "plot in a missing folder": Wrong("up pool.yaml --plot /nowhere/run.png", r"--plot /nowhere/run\.png: the folder /nowhere does not exist; create it first"),
    "plot below a file": Wrong("up pool.yaml --plot store.py/run.png", r"--plot store\.py/run\.png: the folder .* does not exist; create it first"),
    "plot of an unknown type": Wrong("up pool.yaml --plot run.foo", r"--plot run\.foo: unknown type of file; use a name that ends in \.png"),
    "data below a file": Wrong("up pool.yaml --data store.py/data", r"--data store\.py/data: cannot be used: Not a directory; name a folder that you may write to", env={"JOBPOOLS_REDIS_URL": ""}),
    "invalid URL": Wrong("up pool.yaml --redis nowhere", r"nowhere: not a Redis URL.*; .*"),
    "empty companion command": Wrong("up pool.yaml --with ''", r"--with: the command is empty; .*"),
}  # fmt: skip

TABLES = {
    "command line": COMMAND_LINE,
    "worker": WORKER,
    "enqueue": ENQUEUE,
    "listings": LISTINGS,
    "files": FILES,
    "up": UP,
}


@pytest.mark.parametrize(
    "wrong",
    [pytest.param(wrong, id=f"{name}: {what}") for name, table in TABLES.items() for what, wrong in table.items()],
)
def test_an_error_is_one_line_and_changes_nothing(wrong: Wrong, jobpools: Shell, folder: Path, client: Redis) -> None:
    check(wrong, jobpools, folder, client)


@pytest.mark.parametrize("words", ["queues", "jobs", "stats --over 1ms", "plan pool.yaml"])
def test_a_key_of_another_type_is_named(words: str, jobpools: Shell, client: Redis) -> None:
    jobpools("enqueue", "store:app", "send", "to=ada")
    client.set("jobpools:{emails}:leases", "mine")
    before = dump(client)
    ran = jobpools(*words.split())
    assert ran.code == 1
    assert ran.err == (
        "jobpools: key jobpools:{emails}:leases is a string, not a zset: something else uses its name; rename or delete it\n"
    )
    assert dump(client) == before
