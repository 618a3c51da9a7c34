"""What is kept of an exception."""

from typing import cast

import pytest

from jobpools import Retry
from jobpools.core.jobs.job import AttemptRecord, History, OutcomeKind
from jobpools.core.jobs.retry import next_delay
from jobpools.runtime import outcomes
from jobpools.store.history import decode_history, encode_history


class PaymentError(ConnectionError): ...


def caught(raising: type[BaseException] | BaseException) -> BaseException:
    try:
        raise raising  # noqa: TRY301  # the subject
    except BaseException as error:  # noqa: BLE001  # the subject
        return error


def test_an_outcome_has_the_error_its_base_classes_and_a_message_of_one_line() -> None:
    outcome = outcomes.failed(caught(PaymentError("card\n  declined")))
    assert outcome.kind is OutcomeKind.FAILED
    assert outcome.error == f"{__name__}.PaymentError"
    assert outcome.message == "card declined"
    assert {"PaymentError", "ConnectionError", "builtins.OSError", "BaseException"} <= set(outcome.error_types)
    assert isinstance(outcome.exception, PaymentError)


def test_retry_on_a_class_matches_its_subclasses_and_no_class_of_the_same_name() -> None:
    """As `except` does. For example, `requests` has its own ConnectionError."""
    namesake = type("ConnectionError", (OSError,), {"__module__": "requests.exceptions"})

    def retried(error: BaseException, *on: str | type[BaseException]) -> bool:
        return next_delay(outcomes.failed(error), Retry(on=on), 1, 0.0).value is not None

    assert retried(PaymentError(), ConnectionError)
    assert retried(PaymentError(), ValueError, PaymentError)
    assert not retried(OSError(), ConnectionError)
    assert not retried(namesake(), ConnectionError)
    assert retried(namesake(), namesake)
    assert retried(namesake(), "ConnectionError"), "a name without a module matches every class of this name"
    assert retried(SystemExit(), BaseException)


def test_builtin_errors_are_named_without_their_module() -> None:
    """In the history and in the note of a dead letter. Other errors keep the module's name."""
    outcome = outcomes.failed(caught(ValueError("no")))
    assert outcome.error == "ValueError"
    said = next_delay(outcome, Retry(on=[ConnectionError, PaymentError]), 1, 0.0).message
    assert said == f"only ConnectionError, {__name__}.PaymentError is retried"
    assert next_delay(outcome, Retry(on=["builtins.ValueError"]), 1, 0.0).value is not None, (
        "the name with its module is accepted too"
    )


class MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def test_an_error_whose_str_raises_has_a_message() -> None:
    outcome = outcomes.failed(caught(MuteError()))
    assert outcome.error == f"{__name__}.MuteError"
    assert outcome.message == "no message: its __str__ raised RuntimeError"


def test_a_long_message_and_a_long_traceback_are_cut() -> None:
    outcome = outcomes.failed(caught(ValueError("x" * 100_000)))
    assert len(outcome.message) == outcomes.MESSAGE_LIMIT
    assert len(outcome.traceback) == outcomes.TRACEBACK_LIMIT
    assert outcome.traceback.endswith("x\n"), "the end is kept, where the error is"


def test_the_cause_is_part_of_the_traceback() -> None:
    def pay() -> None:
        try:
            raise OSError("no route")  # noqa: TRY301  # the subject
        except OSError as error:
            raise PaymentError("declined") from error

    with pytest.raises(PaymentError) as raised:
        pay()
    text = outcomes.failed(raised.value).traceback
    assert "OSError: no route" in text
    assert "The above exception was the direct cause" in text


def test_a_timeout_is_a_timeout_error() -> None:
    outcome = outcomes.timed_out(90)
    assert (outcome.kind, outcome.error, outcome.message) == (
        OutcomeKind.TIMED_OUT, "TimeoutError", "ran longer than 90s",
    )  # fmt: skip
    assert {"TimeoutError", "OSError"} <= set(outcome.error_types)


def test_a_history_that_cannot_be_encoded_is_replaced_by_a_note() -> None:
    odd = cast("str", object())
    raw = encode_history(History(attempts=2, entries=(AttemptRecord(1, OutcomeKind.FAILED, 0.0, message=odd),)))
    found = decode_history(raw)
    assert (found.attempts, found.note) == (2, "the history could not be encoded")
