"""The hooks of middleware around enqueueing: before a job is sent, and after it was accepted."""

import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from copy import deepcopy
from typing import Any, TypeVar, Unpack

import msgspec

from jobpools.core.jobs import json_values
from jobpools.errors import ConfigurationError
from jobpools.handle import JobHandle
from jobpools.observability.app_errors import log_app_error
from jobpools.options import OPTION_CHECKS, OptionValues, checked
from jobpools.store.enqueue import Sending
from jobpools.store.envelope import Envelope

C = TypeVar("C", bound=Sending)
Hook = Callable[..., Awaitable[None] | None]
Encode = Callable[[Envelope], bytes]
"""Returns the bytes of an envelope. Raises PayloadTooLargeError."""
RunSync = Callable[[Callable[[], Coroutine[Any, Any, None]]], None]
"""Runs a coroutine for sync code."""
_ENVELOPE_FIELDS = {"result_ttl": "ttl"}
"""Fields of the envelope that have another name than their option."""
_SENDING_FIELDS = {"delay": "delay", "at": "due", "expires": "expires"}
"""Options that are not in the envelope, and the fields of `Sending` that hold them."""

log = logging.getLogger("jobpools.client")


class OutgoingJob:
    """A job that is being enqueued, as the hooks of a Middleware see it. `before_enqueue` may change it.

    Example:
        >>> def before_enqueue(self, job: OutgoingJob) -> None:
        ...     job.metadata["trace"] = current_trace_id()
        ...     if "vip" in job.tags:
        ...         job.change(priority="high")
    """

    __slots__ = ("_envelope", "_sending", "metadata")

    def __init__(self, envelope: Envelope) -> None:
        self._envelope = envelope
        self._sending: dict[str, Any] = {}
        self.metadata: dict[str, Any] = deepcopy(envelope.meta or {})
        """The job's metadata; what `before_enqueue` changes here is sent with the job."""

    @property
    def id(self) -> str:
        """The job's id."""
        return self._envelope.id

    @property
    def name(self) -> str:
        """The handler's name."""
        return self._envelope.name

    @property
    def queue(self) -> str:
        """The queue in which the job is enqueued."""
        return self._envelope.queue

    @property
    def priority(self) -> str:
        """`high`, `normal` or `low`."""
        return self._envelope.priority

    @property
    def tags(self) -> tuple[str, ...]:
        """The job's tags."""
        return self._envelope.tags

    @property
    def args(self) -> dict[str, Any]:
        """A copy of the job's arguments, as plain JSON values."""
        found: dict[str, Any] = json_values.decode(bytes(self._envelope.args))
        return found

    def change(self, **options: Unpack[OptionValues]) -> None:
        """Change options of the job: those of `Handler.options`, except `id`.

        Only `before_enqueue` can change a job. `metadata` replaces the attribute of that name.

        Raises:
            ConfigurationError: An option is unknown or has an invalid value.
        """
        call = f"before_enqueue {self.name}"
        values = checked(call, options, OPTION_CHECKS)
        if "id" in values:
            raise ConfigurationError(f"{call}: id: a middleware cannot change it; give it to options(id=…)")
        if values.keys() >= {"at", "delay"}:
            raise ConfigurationError(f"{call}: at and delay exclude each other; give one of them")
        self.metadata = values.pop("metadata", self.metadata)
        if "delay" in values:
            self._sending["due"] = None  # the job's own `at` no longer applies
        for option, field in _SENDING_FIELDS.items():
            if option in values:
                self._sending[field] = values.pop(option)
        fields = {_ENVELOPE_FIELDS.get(option, option): value for option, value in values.items()}
        self._envelope = msgspec.structs.replace(self._envelope, **fields)

    def changed(self, call: C, encode: Encode) -> C:
        """Return the call with the changes of the hooks.

        Raises:
            ConfigurationError: The metadata is not JSON.
            PayloadTooLargeError: The encoded job is larger than `max_payload`.
        """
        checks = {"metadata": OPTION_CHECKS["metadata"]}
        meta = checked(f"before_enqueue {self.name}", {"metadata": self.metadata}, checks)["metadata"]
        envelope = msgspec.structs.replace(self._envelope, meta=meta)
        return msgspec.structs.replace(call, envelope=envelope, payload=encode(envelope), **self._sending)


class EnqueueHooks:
    """The hooks that run before and after jobs are enqueued, in the order of their declaration."""

    def __init__(self) -> None:
        self.before: list[Hook] = []
        """Called with (job) before it is sent."""
        self.after: list[Hook] = []
        """Called with (job, handle) after it was accepted, the last one first."""

    async def run_before(self, calls: Iterable[C], encode: Encode) -> list[C]:
        """Run `before` for all jobs and return the jobs to send. Raises whatever a hook raises."""
        prepared: list[C] = []
        for call in calls:
            job = OutgoingJob(call.envelope)
            for hook in self.before:
                await _finish(hook(job))
            prepared.append(job.changed(call, encode))
        return prepared

    def run_before_sync(self, calls: Iterable[C], encode: Encode, run: RunSync) -> list[C]:
        """Run `before` as `run_before` does: plain hooks in this thread, coroutines by `run`."""
        prepared: list[C] = []
        for call in calls:
            job = OutgoingJob(call.envelope)
            for hook in self.before:
                _finish_sync(hook(job), run)
            prepared.append(job.changed(call, encode))
        return prepared

    async def run_after(self, calls: Iterable[Sending], handles: Sequence[JobHandle[Any]]) -> None:
        """Run `after` for all jobs. An error of a hook is logged: the jobs are enqueued, whatever it raises."""
        for call, handle in zip(calls, handles, strict=True):
            for hook in reversed(self.after):
                try:
                    await _finish(hook(OutgoingJob(call.envelope), handle))
                except Exception as error:  # noqa: BLE001  # code of the app
                    _log_error(hook, call, error)

    def run_after_sync(self, calls: Iterable[Sending], handles: Sequence[JobHandle[Any]], run: RunSync) -> None:
        """Run `after` as `run_after` does: plain hooks in this thread, coroutines by `run`."""
        for call, handle in zip(calls, handles, strict=True):
            for hook in reversed(self.after):
                try:
                    _finish_sync(hook(OutgoingJob(call.envelope), handle), run)
                except Exception as error:  # noqa: BLE001  # code of the app
                    _log_error(hook, call, error)


async def _finish(value: Awaitable[None] | None) -> None:
    if inspect.isawaitable(value):
        await value


def _finish_sync(value: Awaitable[None] | None, run: RunSync) -> None:
    if inspect.isawaitable(value):
        run(lambda: _finish(value))


def _log_error(hook: Hook, call: Sending, error: BaseException) -> None:
    name, envelope = getattr(hook, "__qualname__", "after_enqueue"), call.envelope
    log_app_error(log, error, "%s %s: it is enqueued, and %s raised", envelope.name, envelope.id, name)
