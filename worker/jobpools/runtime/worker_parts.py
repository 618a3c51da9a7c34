"""Create the parts of one worker and connect them."""

import asyncio

from jobpools.app import App
from jobpools.core.text.names import QueueName, WorkerId
from jobpools.runtime import link
from jobpools.runtime.activity_log import ActivityLog
from jobpools.runtime.blocking import BlockingMonitor
from jobpools.runtime.bound_handlers import Handlers
from jobpools.runtime.commands import CommandFollower
from jobpools.runtime.consumer import Consumer, ConsumerOptions
from jobpools.runtime.dispatcher import Dispatcher
from jobpools.runtime.heartbeat import HeartbeatSender
from jobpools.runtime.lease_renewal import LeaseRenewal
from jobpools.runtime.left_behind import Executor, LeftBehind
from jobpools.runtime.listener import WAIT, listeners
from jobpools.runtime.live_settings import LiveSettings, queues_of
from jobpools.runtime.metrics import Metrics
from jobpools.runtime.monitoring import Monitoring, description
from jobpools.runtime.outage import Outage
from jobpools.runtime.prefetch import Prefetch
from jobpools.runtime.recorder import QueueRecorder, Recorder
from jobpools.runtime.reload_requests import ReloadRequests
from jobpools.runtime.rescue_loop import RescueLoop
from jobpools.runtime.run_attempt import AttemptRunner
from jobpools.runtime.services import Services
from jobpools.runtime.settle import Settler
from jobpools.runtime.slots import Slots
from jobpools.runtime.threads import Threads
from jobpools.runtime.vitals import Vitals
from jobpools.runtime.watchdog import Watchdog
from jobpools.runtime.worker_state import WorkerState
from jobpools.settings import WorkerSettings
from jobpools.store import draws
from jobpools.store.clock import ServerClock
from jobpools.store.connection import connect
from jobpools.store.redis_clients import ANSWER_TIMEOUT


class WorkerParts:
    """The parts of one worker, connected to each other. Nothing is opened and no task is started."""

    def __init__(self, app: App, settings: WorkerSettings) -> None:
        """Create the parts.

        Raises:
            ConfigurationError: The app has no jobs, and the settings name no queues.
        """
        self.worker = WorkerId(draws.worker_id(settings.worker))
        self.metrics = metrics = Metrics(settings.pool)
        self.outage = outage = Outage()
        self.services = Services()
        self.prefetch = Prefetch()
        self.left_behind = LeftBehind()
        self.executor = Executor(self.left_behind)
        """The event loop's executor, which runs handlers' `asyncio.to_thread` calls."""
        supervisor = link.of_this_process()
        self.vitals = vitals = Vitals() if supervisor is None else supervisor.vitals
        self.clock = ServerClock()
        self.connection = connect(settings.redis_url)
        self.blocking_connection = connect(settings.redis_url, timeout=WAIT + ANSWER_TIMEOUT)
        """For the listeners' blocking waits."""
        self.reloads = ReloadRequests()
        threads = Threads(settings.concurrency, self.left_behind, vitals)
        handlers = Handlers(app.handlers, settings.job, threads, metrics)
        self.monitor = BlockingMonitor()
        wakeup = asyncio.Event()  # set when there is something to settle or to claim
        self.settler = self._make_settler(wakeup)
        self.slots = slots = self._slots(app, settings, wakeup)
        options = ConsumerOptions(
            self.connection, self.worker, handlers, settings.queue, settings.lease, metrics, self.clock, vitals
        )
        self.consumers = consumers = [
            Consumer(QueueName(each.name), options, weight=each.weight) for each in queues_of(app, settings)
        ]
        self.listeners = listeners(self.blocking_connection, consumers, slots, outage, wakeup)
        self.dispatcher = Dispatcher(consumers, slots, outage, wakeup, self.listeners)
        self.renewal = LeaseRenewal(settings, consumers, slots=slots, outage=outage, metrics=metrics, vitals=vitals)
        self.rescue = RescueLoop(
            settings,
            consumers,
            worker=self.worker,
            outage=outage,
            metrics=metrics,
            connection=self.connection,
            renewal=self.renewal,
        )
        self.watchdog = Watchdog(slots, self.monitor)
        self.commands = CommandFollower(self.worker, consumers, slots, wakeup)
        state = self._state(settings.pool)
        self.heartbeat = HeartbeatSender(self.connection, state, outage)
        recorders = [QueueRecorder(self.connection, each, metrics, slots) for each in consumers]
        self.recorder = Recorder(recorders, self.clock, draws.fraction())
        self.activity = ActivityLog(metrics, self.worker, settings.log_interval)
        described = description(self.worker, settings, self.queues, handlers.by_name.values())
        self.monitoring = Monitoring(state, vitals, described, settings.probe_port)
        self.live = self._live_settings(app, settings, threads, options)

    @property
    def queues(self) -> list[QueueName]:
        """Names of the queues that the worker serves or has served."""
        return [each.queue for each in self.consumers]

    def _make_settler(self, wakeup: asyncio.Event) -> Settler:
        return Settler(
            worker=self.worker,
            metrics=self.metrics,
            clock=self.clock,
            prefetch=self.prefetch,
            monitor=self.monitor,
            executor=self.executor,
            left_behind=self.left_behind,
            wake=wakeup.set,
        )

    def _slots(self, app: App, settings: WorkerSettings, wakeup: asyncio.Event) -> Slots:
        runner = AttemptRunner(
            self.settler,
            worker=self.worker,
            services=self.services,
            vitals=self.vitals,
            middlewares=tuple(app.middlewares),
            max_result=settings.max_payload,
        )
        return Slots(
            settings.concurrency,
            runner=runner,
            settler=self.settler,
            prefetch=self.prefetch,
            left_behind=self.left_behind,
            vitals=self.vitals,
            wake=wakeup.set,
        )

    def _live_settings(
        self, app: App, settings: WorkerSettings, threads: Threads, options: ConsumerOptions
    ) -> LiveSettings:
        return LiveSettings(
            settings=settings,
            app=app,
            slots=self.slots,
            settler=self.settler,
            threads=threads,
            options=options,
            consumers=self.consumers,
            listeners=self.listeners,
            recorder=self.recorder,
            activity=self.activity,
            monitoring=self.monitoring,
        )

    def _state(self, pool: str) -> WorkerState:
        return WorkerState(
            worker=self.worker,
            pool=pool,
            consumers=self.consumers,
            slots=self.slots,
            dispatcher=self.dispatcher,
            renewal=self.renewal,
            monitor=self.monitor,
            outage=self.outage,
            left_behind=self.left_behind,
            metrics=self.metrics,
            clock=self.clock,
            commands=self.commands,
            reloads=self.reloads,
        )

    async def close(self) -> None:
        """Close the connections to Redis."""
        await self.blocking_connection.aclose()
        await self.connection.aclose()
