"""The settings that change while a worker runs, and the parts that follow them."""

import os
from dataclasses import dataclass

from jobpools.app import App
from jobpools.core.jobs.policies import QueueRef
from jobpools.core.text.names import QueueName
from jobpools.errors import ConfigurationError
from jobpools.runtime import worker_log
from jobpools.runtime.activity_log import ActivityLog
from jobpools.runtime.consumer import Consumer, ConsumerOptions
from jobpools.runtime.listener import Listener
from jobpools.runtime.monitoring import Monitoring
from jobpools.runtime.recorder import QueueRecorder, Recorder
from jobpools.runtime.settle import Settler
from jobpools.runtime.slots import Slots
from jobpools.runtime.threads import Threads
from jobpools.settings import READY_FD, WorkerSettings


@dataclass(slots=True, kw_only=True)
class LiveSettings:
    """The settings that apply now, and the parts of the worker that follow them."""

    settings: WorkerSettings
    app: App
    slots: Slots
    settler: Settler
    threads: Threads
    options: ConsumerOptions
    consumers: list[Consumer]
    """Those of all queues that the worker has served: a consumer that is leaving has attempts that finish."""
    listeners: list[Listener]
    recorder: Recorder
    activity: ActivityLog
    monitoring: Monitoring

    def can_serve(self, settings: WorkerSettings) -> bool:
        """Return whether the queues of these settings can be served without a restart.

        In a Redis Cluster each queue has a listener of its own, which only the start of the worker creates.
        """
        known = {each.queue for each in self.consumers}
        return len(self.listeners) == 1 or known >= {each.name for each in queues_of(self.app, settings)}

    def apply(self, settings: WorkerSettings) -> None:
        """Follow these settings from now on. Running attempts keep their timeout, retries and slot."""
        before, self.settings = self.settings, settings
        if settings.job != before.job:
            self.options.handlers.rebind(settings.job)
            for consumer in self.consumers:
                consumer.forget_handlers()
        self.options.policy = settings.queue
        if settings.queues != before.queues:
            self._serve(queues_of(self.app, settings))
        if (settings.job, settings.queues) != (before.job, before.queues):
            self.monitoring.describe(
                settings, [each.queue for each in self.consumers], self.options.handlers.by_name.values()
            )
        if settings.log_level != before.log_level:
            worker_log.set_level(worker_log.level_of(settings.log_level, relayed=bool(os.environ.get(READY_FD))))
            self.settler.level_changed()
        self.activity.set_interval(settings.log_interval)
        if settings.concurrency != before.concurrency:
            self.threads.resize(settings.concurrency)
            self.slots.resize(settings.concurrency)

    def _serve(self, queues: tuple[QueueRef, ...]) -> None:
        """Claim from these queues, with their weights, and from no others."""
        known = {each.queue: each for each in self.consumers}
        for consumer in self.consumers:
            consumer.is_leaving = True
        for queue in queues:
            name = QueueName(queue.name)
            consumer = known.get(name) or self._new_consumer(name)
            consumer.weight, consumer.is_leaving, consumer.may_have_jobs = queue.weight, False, True
        self.slots.wake()

    def _new_consumer(self, name: QueueName) -> Consumer:
        consumer = Consumer(name, self.options)
        self.consumers.append(consumer)
        self.listeners[0].add(consumer)
        self.recorder.add(QueueRecorder(self.options.connection, consumer, self.options.metrics, self.slots))
        return consumer


def queues_of(app: App, settings: WorkerSettings) -> tuple[QueueRef, ...]:
    """Return the queues of the settings, or those of the app's handlers. Raises ConfigurationError if it has none."""
    if settings.queues:
        return settings.queues
    names = sorted({handler.queue for handler in app.handlers.values()})
    if not names:
        raise ConfigurationError(f"app {app.name}: it has no jobs; decorate a function with @app.job")
    return tuple(QueueRef(name=name) for name in names)
