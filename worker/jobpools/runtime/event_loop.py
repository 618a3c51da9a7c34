"""Run the worker's event loop. If a job's code ends or stops the loop, the job fails and the worker continues.

asyncio lets SystemExit and KeyboardInterrupt of any task or callback end the loop: a `sys.exit()` in a task that a
handler started would end the whole worker. So would any exception of a signal handler (for example of an alarm) that is
raised while the loop waits. Here the attempt that such code belongs to fails with that error, and the loop continues.
"""

import asyncio
import contextlib
import logging
import os
import signal
import traceback
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from jobpools.core.text.error_text import traceback_of
from jobpools.runtime import forking, outcomes, signal_handlers
from jobpools.runtime.attempt import Attempt
from jobpools.runtime.current_attempt import RUN_HANDLE, attempt_of, current_attempt
from jobpools.runtime.worker_task import WorkerTask

T = TypeVar("T")
_WORKER_ONLY = ("stop", "shutdown_default_executor", "shutdown_asyncgens")
"""Methods of the event loop that end it for every job: only the worker may call them."""
BROKEN_AFTER = 5
"""Number of successive errors of the loop itself, with no callback run between them, after which it is broken."""

log = logging.getLogger("jobpools.worker")


class LoopBrokenError(RuntimeError):
    """The event loop cannot run any more, for example because a job closed its descriptors."""


def run(main: Coroutine[Any, Any, T], blame: Callable[[Attempt, BaseException], None]) -> T:
    """Run `main` to its end, as `asyncio.run` does, and return what it returns.

    `blame(attempt, error)` is called if code of that attempt raised an error out of the event loop. If a job has broken
    the loop, the process ends with exit code 1.
    """
    runner = asyncio.Runner()
    loop = runner.get_loop()
    stop = _protected(loop)
    undo = signal_handlers.prepare(loop, blame)
    try:
        task = WorkerTask(main, loop=loop)
        _finish(loop, task, stop, blame)
        return task.result()
    except LoopBrokenError:
        # Without a loop nothing can be settled, and the cancelled jobs would be logged as failed.
        log.critical("the event loop broke; the worker ends, and its jobs run again", exc_info=True)
        logging.shutdown()
        os._exit(1)
    finally:
        undo()
        # As Runner.close does, but tasks that jobs left running may raise out of the loop again when cancelled.
        if left := asyncio.all_tasks(loop):
            for each in left:
                each.cancel()
            _finish(loop, asyncio.gather(*left, return_exceptions=True), stop, blame)
        with contextlib.suppress(SystemExit, KeyboardInterrupt):
            runner.close()


def _finish(
    loop: asyncio.AbstractEventLoop,
    awaited: "asyncio.Future[Any]",
    stop: Callable[[], None],
    blame: Callable[[Attempt, BaseException], None],
) -> None:
    """Run the loop until `awaited` is done, however often something is raised out of the loop meanwhile."""
    awaited.add_done_callback(lambda _awaited: stop())
    errors = 0

    def reset() -> None:
        nonlocal errors
        errors = 0

    while not awaited.done():
        try:
            loop.run_forever()
        except BaseException as error:  # a signal handler may raise anything
            if forking.is_child:
                forking.leave(error)
            if awaited.done():
                return
            _assign(error, blame)
            errors = 0 if _callback(error) is not None else errors + 1
            if errors >= BROKEN_AFTER:
                raise LoopBrokenError(str(error)) from error
            loop.call_soon(reset)


def _assign(error: BaseException, blame: Callable[[Attempt, BaseException], None]) -> None:
    """Assign the error to the attempt that it belongs to, or log it. Raises it if it is the user's Ctrl-C."""
    attempt = culprit(error)
    if attempt is not None:
        blame(attempt, error)
    elif issubclass(type(error), KeyboardInterrupt) and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        raise error
    else:
        text = outcomes.summary(error, lambda file: not outcomes.is_plumbing(file))
        log.error("code that belongs to no job raised %s in the event loop; the worker continues", text)


def culprit(error: BaseException) -> Attempt | None:
    """Return the attempt whose task or callback raised the error out of the event loop; None: unknown."""
    handle = _callback(error)
    return None if handle is None else attempt_of(handle)


def _callback(error: BaseException) -> Any:
    """Return the innermost handle of the event loop in the error's traceback; None: the loop ran no callback."""
    frames = [frame for frame, _ in traceback.walk_tb(traceback_of(error)) if frame.f_code is RUN_HANDLE]
    return frames[-1].f_locals["self"] if frames else None


def _protected(loop: asyncio.AbstractEventLoop) -> Callable[[], None]:
    """Prevent jobs from stopping the loop; return the function that stops it."""
    stop = loop.stop
    loop.set_exception_handler(_report)
    for name in _WORKER_ONLY:
        with contextlib.suppress(
            AttributeError
        ):  # a loop written in C, such as uvloop, has no writable attributes; it is restarted
            setattr(loop, name, _refusing(name, getattr(loop, name)))
    return stop


def _refusing(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    def checked(*args: Any, **kwargs: Any) -> Any:
        if current_attempt.get() is not None:
            raise RuntimeError(f"loop.{name}(): the event loop belongs to the worker; a job must not stop it")
        return method(*args, **kwargs)

    return checked


def _report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Report an unretrieved error as asyncio does, with the job whose callback raised it."""
    handle = context.get("handle")
    attempt = None if handle is None else attempt_of(handle)
    if attempt is not None:
        context = context | {"message": f"{attempt}: {context.get('message')}"}
    loop.default_exception_handler(context)
