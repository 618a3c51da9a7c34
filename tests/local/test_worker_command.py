"""The command and environment that a worker process starts with."""

from jobpools.core.objects import Meta
from jobpools.core.pools.specs import Pool, PoolSpec
from jobpools.local.worker_command import worker_command
from jobpools.settings_reader import Inputs, read


def pool(**spec: object) -> Pool:
    return Pool(
        meta=Meta(name="emails"), spec=PoolSpec.model_validate({"app": "shop.jobs:app", "queues": ["emails"], **spec})
    )


def test_a_worker_reads_the_settings_of_its_pool() -> None:
    made = pool(concurrency=7, job={"timeout": "5s", "maxCrashes": 2}, queues=["emails", {"name": "news", "weight": 3}])
    command = worker_command(made, "redis://127.0.0.1:1/0", "python", path="/srv")
    settings = read(Inputs(environ=command.environ({"HOME": "/root"}, "emails-1"))).settings
    assert (settings.pool, settings.worker, settings.app) == ("default/emails", "emails-1", "shop.jobs:app")
    assert (settings.concurrency, settings.job.timeout, settings.job.max_crashes) == (7, 5.0, 2)
    assert [(queue.name, queue.weight) for queue in settings.queues] == [("emails", 1), ("news", 3)]
    assert dict(command.env)["PYTHONPATH"] == "/srv"
    assert command.environ({"HOME": "/root"}, "emails-1")["HOME"] == "/root"


def test_a_pod_template_sets_plain_values_that_neither_the_spec_nor_an_option_sets() -> None:
    env = [
        {"name": "SMTP_HOST", "value": "smtp.example"},
        {"name": "TOWN", "valueFrom": {"configMapKeyRef": {"name": "town", "key": "host"}}},
        {"name": "JOBPOOLS_REDIS_URL", "value": "redis://far.example"},
        {"name": "JOBPOOLS_PROBE_PORT", "value": "8080"},
        {"name": "JOBPOOLS_PRESET", "value": "production"},
        {"name": "JOBPOOLS_LEASE", "value": "5s"},
    ]
    made = pool(template={"spec": {"containers": [{"name": "worker", "env": env}]}})
    options = {"JOBPOOLS_PRESET": "development"}
    found = dict(worker_command(made, "redis://near.example", "python", variables=options).env)
    assert (found["SMTP_HOST"], found["JOBPOOLS_LEASE"]) == ("smtp.example", "5s")
    assert (found["JOBPOOLS_REDIS_URL"], found["JOBPOOLS_PRESET"]) == ("redis://near.example", "development")
    assert found.keys().isdisjoint({"TOWN", "JOBPOOLS_PROBE_PORT"})


def test_only_changes_that_concern_a_worker_change_its_command() -> None:
    pools = (pool(), pool(scaling={"max": 3}), pool(concurrency=9), pool(job={"timeout": "1h"}))
    before, larger, busier, slower = (worker_command(each, "redis://127.0.0.1:1/0", "python") for each in pools)
    assert before == larger == busier != slower
    assert before.live == larger.live != busier.live, "running workers follow"
    assert busier.environ({}, "emails-1")["JOBPOOLS_CONCURRENCY"] == "9"
