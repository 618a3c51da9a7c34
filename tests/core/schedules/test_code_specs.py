"""Schedules made in code: their keys, their names and their times."""

import pytest
from pydantic import ValidationError

from jobpools.core.schedules.code_specs import CodeSpec, code_key, code_schedule, is_code_key, parse_schedule
from jobpools.core.schedules.identity import times_key
from jobpools.core.schedules.specs import Source

JOB = {"name": "work"}


def test_keys_of_schedules_made_in_code_differ_from_those_of_cron_job_specs() -> None:
    assert code_key("shop", "tick") == "code:shop/tick"
    assert is_code_key("code:shop/tick")
    assert not is_code_key("code/tick")


@pytest.mark.parametrize("name", ["", "a b", "-a", "a/b", "x" * 64])
def test_a_name_with_spaces_or_other_special_characters_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        code_schedule("shop", name, CodeSpec.model_validate({"every": 60, "job": JOB}))


@pytest.mark.parametrize("name", ["a", "daily_report", "Sync-2.x", "x" * 63])
def test_names_of_functions_and_words_with_dots_are_accepted(name: str) -> None:
    made = code_schedule("my shop", name, CodeSpec.model_validate({"every": 60, "job": JOB}))
    assert made.meta.key == f"code:my shop/{name}"


@pytest.mark.parametrize(
    "times",
    [{}, {"schedule": "* * * * *", "every": 60}, {"at": "2027-01-01T00:00:00Z", "every": 60}, {"every": 0.5}],
    ids=["none", "cron and every", "at and every", "too often"],
)
def test_exactly_one_kind_of_times_is_accepted(times: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        CodeSpec.model_validate({**times, "job": JOB})


def test_the_times_of_a_schedule_have_a_text_and_a_key() -> None:
    spec = CodeSpec.model_validate({"every": 900, "job": JOB})
    assert (spec.times, spec.source) == ("every 15m", Source.CODE)
    assert times_key(code_schedule("shop", "tick", spec)) == "every 900000"


def test_a_stored_schedule_is_read_back_with_its_switch() -> None:
    options = {"timeout": 5, "retry": {"initial": 5, "max": "1h"}, "expires": "1h30m", "metadata": {"n": [1]}}
    spec = CodeSpec.model_validate({"every": 900, "job": {**JOB, **options}})
    raw = spec.model_dump_json(by_alias=True, exclude_defaults=True).encode()
    assert parse_schedule("code:shop/tick", raw).spec == spec
    assert parse_schedule("code:shop/tick", raw, disabled=True).spec == spec.model_copy(update={"suspend": True})
    with pytest.raises(ValidationError):
        parse_schedule("default/tick", raw)
