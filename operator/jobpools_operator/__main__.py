"""`python -m jobpools_operator`: builds the operator's parts, runs them, and stops them in the right order."""

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import kopf

from jobpools.errors import JobpoolsError
from jobpools.observability.http_server import HttpServer
from jobpools.observability.logs import configure
from jobpools_operator.controller import Controller
from jobpools_operator.endpoint import Endpoint, EndpointContext, Endpoints
from jobpools_operator.handlers import REGISTRY, objects, resync, startup
from jobpools_operator.http_routes import Sources, routes
from jobpools_operator.kinds import Kind
from jobpools_operator.kube.client import CRD_API, Api
from jobpools_operator.kube.cluster import KubeCluster
from jobpools_operator.kube.events import EventRecorder
from jobpools_operator.kube.leadership import Leadership
from jobpools_operator.kube.rate_limit import TokenBucket
from jobpools_operator.kube.secret import CachedSecrets
from jobpools_operator.kube.status_writer import StatusWriter
from jobpools_operator.kube.url_secret import UrlSecrets
from jobpools_operator.placement import RedisUrls
from jobpools_operator.reporter import Counters, Reporter
from jobpools_operator.settings import OperatorSettings
from jobpools_operator.statuses import Statuses

HANDLERS = (startup, objects)
"""Modules whose import registers kopf handlers."""

log = logging.getLogger("jobpools.operator")


@dataclass(frozen=True)
class Operator:
    """The parts of one operator process."""

    settings: OperatorSettings
    api: Api
    cluster: KubeCluster
    url_secrets: UrlSecrets
    status_writer: StatusWriter
    events: EventRecorder
    counters: Counters
    controller: Controller
    leadership: Leadership

    @classmethod
    def build(cls, settings: OperatorSettings, api: Api, clock: Callable[[], float]) -> "Operator":
        """Build the parts. `clock`: monotonic seconds."""
        url_secrets = UrlSecrets(api, clock)
        cluster = KubeCluster(api, url_secrets, clock, settings.namespaces)
        statuses, bucket, counters = Statuses(clock), TokenBucket(clock), Counters()
        events = EventRecorder(api, settings.identity, bucket, clock)
        context = EndpointContext(cluster, Reporter(statuses, events, counters), statuses, counters, clock)
        endpoints = Endpoints(partial(Endpoint.open, context=context), context.memories)
        urls = RedisUrls(CachedSecrets(api, clock), settings.redis_url)
        return cls(
            settings=settings,
            api=api,
            cluster=cluster,
            url_secrets=url_secrets,
            status_writer=StatusWriter(api, statuses, bucket),
            events=events,
            counters=counters,
            controller=Controller(cluster, statuses, urls, endpoints, clock),
            leadership=Leadership(api, settings.lease_namespace, settings.lease_name, settings.identity, clock),
        )

    @property
    def sources(self) -> Sources:
        """What /livez, /readyz and /metrics read."""
        return Sources(self.controller, self.leadership, self.cluster, self.status_writer, self.counters)

    async def lead(self) -> None:
        """Reconcile, and write statuses, events and Secrets, until cancelled."""
        await self.controller.lead([self.status_writer.run, self.events.run, self.url_secrets.run])

    async def run(self) -> None:
        """Watch the cluster, campaign for the Lease and resync, until cancelled."""
        await asyncio.gather(
            self.cluster.run(),
            self.leadership.campaign(self.lead),
            resync.resync_forever(self.controller, self._list_objects),
        )

    async def _list_objects(self, kind: Kind) -> list[dict[str, object]]:
        return (await self.api.list(f"{CRD_API}/{kind.plural}"))[0]


async def serve(settings: OperatorSettings) -> None:
    """Run an operator until SIGTERM or SIGINT. Raises JobpoolsError when it cannot start."""
    api = await Api.connect()
    operator = Operator.build(settings, api, time.monotonic)
    stopping = asyncio.Event()
    http_server = HttpServer(settings.probe_port, routes(operator.sources)) if settings.probe_port else None
    if http_server:
        http_server.start()
    try:
        if await _wait_for_crds(api, stopping):
            await _run(operator, stopping)
    finally:
        if http_server:
            http_server.close()
        await api.close()


def _handle_signals(stopping: asyncio.Event) -> None:
    """Let SIGTERM and SIGINT set the event."""
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)


async def _wait_for_crds(api: Api, stopping: asyncio.Event) -> bool:
    """Wait until the API server has the CRDs; return False when a signal came first."""
    _handle_signals(stopping)
    installed, stop = asyncio.ensure_future(api.wait_for(CRD_API)), asyncio.ensure_future(stopping.wait())
    await asyncio.wait({installed, stop}, return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    if installed.done():
        installed.result()
        return True
    installed.cancel()
    await asyncio.gather(installed, return_exceptions=True)
    return False


async def _run(operator: Operator, stopping: asyncio.Event) -> None:
    kopf_stop = asyncio.Event()
    watch = asyncio.ensure_future(_watch(operator, stopping, kopf_stop))
    operating = asyncio.ensure_future(operator.run())
    stop = asyncio.ensure_future(stopping.wait())
    try:
        done, _ = await asyncio.wait({watch, operating, stop}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        # In this order: stop acting, release the Lease for the next leader, end the watch of specs.
        operating.cancel()
        await asyncio.gather(operating, return_exceptions=True)
        await operator.leadership.release()
        kopf_stop.set()
        await asyncio.gather(watch, return_exceptions=True)
        stop.cancel()
    for each in done - {stop}:
        if not each.cancelled():
            each.result()
        raise JobpoolsError("a task of the operator ended without an error; report this as a bug")


async def _watch(operator: Operator, stopping: asyncio.Event, stop: asyncio.Event) -> None:
    settings, before = operator.settings, asyncio.all_tasks()
    tasks = await kopf.spawn_tasks(
        registry=REGISTRY,
        standalone=True,
        clusterwide=not settings.namespaces,
        namespaces=settings.namespaces,
        stop_flag=stop,
        memo=kopf.Memo(controller=operator.controller),
        # Without an identity kopf looks up the name of the user, and a pod's user has none.
        identity=settings.identity,  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # its own annotation is wrong
    )
    # Again: kopf has just installed handlers of its own, which would end all tasks before the Lease is released.
    _handle_signals(stopping)
    await kopf.run_tasks(tasks, ignored=before)


def main() -> int:
    """Run the operator; return the exit status: 0 after a signal, 1 after an error, which is one line on stderr."""
    try:
        settings = OperatorSettings.from_env(os.environ)
        configure(settings.log)
        logging.getLogger("kopf").setLevel(logging.WARNING)
        asyncio.run(serve(settings))
    except JobpoolsError as error:
        sys.stderr.writelines(f"jobpools-operator: {line}\n" for line in str(error).splitlines())
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
