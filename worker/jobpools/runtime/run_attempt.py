"""Run one attempt: decode its arguments, call the handler inside its middleware, encode the result."""

import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, cast

from jobpools.context import Context
from jobpools.core.jobs.job import NotRetryable
from jobpools.core.text.durations import MAX_DURATION
from jobpools.core.text.names import WorkerId
from jobpools.errors import ArgumentsError, PayloadTooLargeError
from jobpools.middleware import Around, run_inside
from jobpools.runtime import forking, outcomes
from jobpools.runtime.attempt import Attempt, Phase
from jobpools.runtime.current_attempt import current_attempt
from jobpools.runtime.services import Services
from jobpools.runtime.settle import Settler
from jobpools.runtime.vitals import Vitals

DECODING, RUNNING, ENCODING = "decoding", "running", "encoding"
"""Stages of an attempt."""
_RUNNING = Phase.RUNNING  # a global is read faster than an enum's member

clock = time.monotonic


class AttemptRunner:
    """Runs attempts from their start to their settlement."""

    def __init__(
        self,
        settler: Settler,
        *,
        worker: WorkerId,
        services: Services,
        vitals: Vitals,
        middlewares: Sequence[Around] = (),
        max_result: int,
    ) -> None:
        """`max_result` is in bytes."""
        self._settler = settler
        self._worker = worker
        self._services = services
        self._vitals = vitals
        self._middlewares = [forking.confined(each) for each in middlewares]
        self._max_result = max_result

    async def run(self, attempt: Attempt, free: Callable[[Attempt], None]) -> None:
        """Run one attempt to its settlement, and free its slot.

        This is the one guard around decoding, handler, middleware and encoding. An exception of any of them ends this
        attempt at once with that error; no outer code handles it again.
        """
        handler = attempt.handler
        stage = DECODING
        try:
            current_attempt.set(attempt)
            attempt.started_at = started_at = clock()
            attempt.phase = _RUNNING
            attempt.deadline = started_at + attempt.timeout
            attempt.row = self._vitals.begin(attempt.lease, attempt.deadline, handler.number)
            arguments = handler.decode(bytes(attempt.envelope.args))
            stage = RUNNING
            if handler.plain is not None and not self._middlewares:
                value = await handler.plain(**arguments)
            else:
                value = await self._with_context(attempt, arguments)
            if forking.is_child:
                forking.leave(None)
            outcome = attempt.stop_outcome
            if outcome is None:
                stage = ENCODING
                seconds = clock() - started_at
                ttl = attempt.envelope.ttl
                ttl = handler.result_ttl if ttl is None else min(ttl, MAX_DURATION)
                result = b"null" if value is None or ttl <= 0 else self._encoded(attempt, value)
                self._settler.complete(attempt, result, ttl, seconds)
                free(attempt)
                return
            # The attempt was stopped and returned instead of raising: it ends with the outcome of the stop.
        except BaseException as error:  # noqa: BLE001  # whatever it is, it ends the attempt, not the worker
            if forking.is_child:
                forking.leave(error)
            outcome = attempt.stop_outcome or outcomes.failed(error, _why_not_retryable(stage, error))
        self._settler.end(attempt, outcome, clock())
        free(attempt)

    def _with_context(self, attempt: Attempt, arguments: dict[str, Any]) -> Awaitable[Any]:
        """Call the handler with a Context, inside the middlewares."""
        context, call = Context(attempt, self._worker, self._services), attempt.handler.call
        if not self._middlewares:
            return cast("Awaitable[Any]", call(context, arguments))
        return run_inside(self._middlewares, context, partial(forking.confined(call), context, arguments))

    def _encoded(self, attempt: Attempt, value: object) -> bytes:
        result = attempt.handler.encode_result(value)
        if len(result) > self._max_result:
            raise PayloadTooLargeError(
                f"the result takes {len(result)} bytes, more than {self._max_result}; return a reference to it, or set "
                f"result_ttl=0"
            )
        return result


def _why_not_retryable(stage: str, error: BaseException) -> NotRetryable | None:
    """Return why another attempt would fail in the same way; None: it might not."""
    if stage is ENCODING:
        return NotRetryable.RESULT
    if stage is DECODING and issubclass(type(error), ArgumentsError):
        return NotRetryable.ARGUMENTS
    return None
