"""The handlers of an app as one worker calls them."""

import inspect
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NoReturn

from jobpools.context import Context
from jobpools.core.jobs.policies import JobDefaults
from jobpools.handlers import Handler
from jobpools.runtime.attempt import BoundHandler
from jobpools.runtime.metrics import Metrics
from jobpools.runtime.threads import Threads
from jobpools.signature import code_of


class Handlers:
    """The handlers of a worker, by name, and one that represents all unknown handlers."""

    def __init__(
        self, registered: Mapping[str, Handler[..., Any]], defaults: JobDefaults, threads: Threads, metrics: Metrics
    ) -> None:
        """Bind the registered handlers. `defaults` are the pool's, `threads` run the plain functions."""
        self._registered = registered
        self._threads = threads
        self._metrics = metrics
        self.by_name = self._bind(defaults)
        self.unknown = _unknown(defaults, metrics)
        """Represents handlers that this worker does not know; the pool's defaults limit their crashes."""

    def rebind(self, defaults: JobDefaults) -> None:
        """Apply other defaults to attempts that are claimed from now on."""
        self.by_name, self.unknown = self._bind(defaults), _unknown(defaults, self._metrics)

    def _bind(self, defaults: JobDefaults) -> dict[str, BoundHandler]:
        return {
            name: _bound(number, handler, defaults, self._threads, self._metrics)
            for number, (name, handler) in enumerate(self._registered.items())
        }

    def get(self, name: str) -> BoundHandler:
        """Return the handler of this name, or `unknown`."""
        return self.by_name.get(name) or self.unknown

    def in_queue(self, name: str, queue: str) -> BoundHandler:
        """Return the handler of this name with the counters of one queue, or `unknown`."""
        found = self.by_name.get(name)
        return self.unknown if found is None else replace(found, tally=self._metrics.tally(name, queue))


def _bound(
    number: int, handler: Handler[..., Any], pool: JobDefaults, threads: Threads, metrics: Metrics
) -> BoundHandler:
    options = handler.defaults
    return BoundHandler(
        name=handler.name,
        number=number,
        code=_code(handler.function),
        call=_call(handler.function, threads if handler.executor == "thread" else None, handler.takes_context),
        plain=None if handler.takes_context or handler.executor == "thread" else handler.function,
        decode=handler.signature.decoder(),
        encode_result=handler.signature.encode_result,
        timeout=pool.timeout if options.timeout is None else options.timeout,
        retry=pool.retry if options.retry is None else options.retry,
        result_ttl=pool.result_ttl if options.result_ttl is None else options.result_ttl,
        max_crashes=pool.max_crashes if options.max_crashes is None else options.max_crashes,
        logger=logging.getLogger(
            getattr(inspect.unwrap(code_of(handler.function)), "__module__", None) or handler.name
        ),
        tally=metrics.tally(handler.name, handler.queue),
    )


_Call = Callable[[Context, dict[str, Any]], Any]


def _call(
    function: Callable[..., Any],
    threads: Threads | None,
    takes_context: bool,  # noqa: FBT001  # a property of the function
) -> _Call:
    """Return `call(context, arguments)`, the one form of all handlers: it returns an awaitable."""
    if threads is None:
        if takes_context:
            return lambda context, arguments: function(context, **arguments)
        return lambda _context, arguments: function(**arguments)
    if takes_context:
        return lambda context, arguments: threads.run(function, (context,), arguments, context.id)
    return lambda context, arguments: threads.run(function, (), arguments, context.id)


def _code(function: Callable[..., Any]) -> tuple[str, str]:
    code = getattr(inspect.unwrap(function), "__code__", None)
    return ("", "") if code is None else (code.co_filename, code.co_name)


def _unknown(defaults: JobDefaults, metrics: Metrics) -> BoundHandler:
    def never(*_: object) -> NoReturn:
        raise LookupError("a job of an unknown handler is handed back, never run")

    return BoundHandler(
        name="unknown",
        number=0,
        code=("", ""),
        call=never,
        plain=None,
        decode=never,
        encode_result=never,
        timeout=defaults.timeout,
        retry=defaults.retry,
        result_ttl=defaults.result_ttl,
        max_crashes=defaults.max_crashes,
        logger=logging.getLogger("unknown"),
        tally=metrics.tally("unknown", ""),
    )
