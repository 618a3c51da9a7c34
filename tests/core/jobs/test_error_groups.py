"""The names of the error groups are those of the libraries, and `Retry.on` matches them and their subclasses."""

import importlib
import importlib.util

import pytest

from jobpools.core.jobs.error_groups import DATABASE, ERROR_GROUPS, NETWORK, with_groups
from jobpools.core.jobs.job import Disposition, History, Outcome, OutcomeKind
from jobpools.core.jobs.retry import Retry, settle
from jobpools.core.text.error_text import ancestors, qualified_name


def is_installed(name: str) -> bool:
    return importlib.util.find_spec(name.partition(".")[0]) is not None


INSTALLED = sorted(filter(is_installed, NETWORK | DATABASE))


def class_of(name: str) -> type[BaseException]:
    module, _, attribute = name.rpartition(".")
    found: type[BaseException] = getattr(importlib.import_module(module), attribute)
    assert issubclass(found, BaseException)
    return found


@pytest.mark.parametrize("name", INSTALLED)
def test_each_name_is_that_of_a_class(name: str) -> None:
    assert qualified_name(class_of(name)) == name


def test_the_libraries_that_the_tests_install_are_checked() -> None:
    assert {name.partition(".")[0] for name in INSTALLED} >= {
        "aiohttp",
        "builtins",
        "redis",
        "socket",
        "sqlite3",
        "ssl",
    }


def settled(error: type[BaseException], policy: Retry) -> Disposition:
    types = tuple(qualified_name(kind) for kind in ancestors(error))
    outcome = Outcome(OutcomeKind.FAILED, error=qualified_name(error), error_types=types)
    return settle(outcome, policy, History(), 0.0, 0.0, max_crashes=3).value.disposition


@pytest.mark.parametrize(
    ("error", "groups"),
    [
        (ConnectionResetError, {"network", "database"}),
        (TimeoutError, {"network"}),
        (class_of("http.client.RemoteDisconnected"), {"network", "database"}),
        (class_of("aiohttp.ServerDisconnectedError"), {"network"}),
        (class_of("redis.exceptions.BusyLoadingError"), {"database"}),
        (class_of("sqlite3.OperationalError"), {"database"}),
        (class_of("sqlite3.IntegrityError"), set()),
        (class_of("urllib.error.HTTPError"), set()),
        (class_of("aiohttp.ClientResponseError"), set()),
        (FileNotFoundError, set()),
        (ValueError, set()),
    ],
)
def test_a_policy_that_names_a_group_retries_its_errors(error: type[BaseException], groups: set[str]) -> None:
    retried = {name for name in ERROR_GROUPS if settled(error, Retry(on=[name])) is Disposition.RETRY}
    assert retried == groups


def test_groups_and_classes_may_be_named_together() -> None:
    assert with_groups(("network", "ValueError")) == NETWORK | {"network", "ValueError"}
    assert settled(ValueError, Retry(on=["network", ValueError])) is Disposition.RETRY
