"""`python -m jobpools_operator`: puts the parts together, and takes them apart in the right order."""

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Awaitable

import kopf

from jobpools.errors import JobpoolsError
from jobpools.observability.http_server import HttpServer
from jobpools.observability.logs import configure
from jobpools_operator.handlers import REGISTRY, audit, lifecycle, pools, schedules
from jobpools_operator.http_routes import routes
from jobpools_operator.kube.client import OURS, Api
from jobpools_operator.kube.cluster import KubeCluster
from jobpools_operator.kube.lease import Leadership
from jobpools_operator.kube.report import KubeReporter
from jobpools_operator.kube.secret import Secrets
from jobpools_operator.settings import OperatorSettings
from jobpools_operator.wake import Control, Tools

LISTED = (lifecycle, pools, schedules)
"""Modules whose import registers handlers."""

log = logging.getLogger("jobpools.operator")


async def serve(settings: OperatorSettings) -> None:
    """Run until SIGTERM or SIGINT. Raises JobpoolsError when it cannot even begin."""
    api = await Api.connect()
    clock = time.monotonic
    cluster = KubeCluster(api, clock, settings.namespaces)
    tools = Tools(cluster, KubeReporter(api, settings.identity, clock), Secrets(api, clock), settings.redis_url)
    control = Control(tools)
    leadership = Leadership(api, settings.lease_namespace, settings.lease_name, settings.identity, clock)
    stopping = asyncio.Event()
    http_server = HttpServer(settings.probe_port, routes(control, leadership)) if settings.probe_port else None
    if http_server:
        http_server.start()
    try:
        if await _served(api, stopping):
            await _run(settings, api, control, leadership, stopping)
    finally:
        if http_server:
            http_server.close()
        await api.close()


def _take_signals(stopping: asyncio.Event) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)


async def _served(api: Api, stopping: asyncio.Event) -> bool:
    """Wait until the API server knows our kinds; False: told to stop before it did."""
    _take_signals(stopping)
    known, told = asyncio.ensure_future(api.wait_for(OURS)), asyncio.ensure_future(stopping.wait())
    await asyncio.wait({known, told}, return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    if known.done():
        known.result()
        return True
    known.cancel()
    await asyncio.gather(known, return_exceptions=True)
    return False


async def _run(
    settings: OperatorSettings, api: Api, control: Control, leadership: Leadership, stopping: asyncio.Event
) -> None:
    async def listed(plural: str) -> list[dict[str, object]]:
        return (await api.list(f"{OURS}/{plural}"))[0]

    kopf_stop = asyncio.Event()
    watch = asyncio.ensure_future(_watch(settings, control, stopping, kopf_stop))
    ours = asyncio.ensure_future(
        _together(control.tools.cluster.run(), leadership.campaign(control.lead), audit.audit(control, listed))
    )
    stop = asyncio.ensure_future(stopping.wait())
    try:
        done, _ = await asyncio.wait({watch, ours, stop}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        # First nobody acts any more, then the Lease is free for the next one, then the watch of specs may end.
        ours.cancel()
        await asyncio.gather(ours, return_exceptions=True)
        await leadership.release()
        kopf_stop.set()
        await asyncio.gather(watch, return_exceptions=True)
        stop.cancel()
    for each in done - {stop}:
        if not each.cancelled():
            each.result()
        raise JobpoolsError("a part of the operator ended by itself")


async def _together(*parts: Awaitable[None]) -> None:
    await asyncio.gather(*parts)


async def _watch(settings: OperatorSettings, control: Control, stopping: asyncio.Event, stop: asyncio.Event) -> None:
    before = asyncio.all_tasks()
    tasks = await kopf.spawn_tasks(
        registry=REGISTRY,
        standalone=True,
        clusterwide=not settings.namespaces,
        namespaces=settings.namespaces,
        stop_flag=stop,
        memo=kopf.Memo(control=control),
        # Else kopf asks for the user's name, and a pod's user is only a number. Its type is a private alias of str.
        identity=settings.identity,  # type: ignore[arg-type]  # its own annotation is wrong
    )
    _take_signals(stopping)  # kopf has just taken them, and would end all at once: the Lease is to be given back before
    await kopf.run_tasks(tasks, ignored=before)


def main() -> int:
    """The exit status: 0 after a signal, 1 with one line on stderr when something is wrong."""
    try:
        settings = OperatorSettings.from_env(os.environ)
        configure(settings.log)
        logging.getLogger("kopf").setLevel(logging.WARNING)
        asyncio.run(serve(settings))
    except JobpoolsError as error:
        sys.stderr.write(f"jobpools-operator: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
