"""Facts about the queues and workers of one Redis endpoint, for the control loop."""

from collections.abc import Mapping, Sequence

from jobpools.core.pools.facts import EndpointFacts, Heartbeat, QueueFacts
from jobpools.core.text.names import QueueName
from jobpools.store import facts_reply, keys
from jobpools.store.connection import Connection
from jobpools.store.facts_reply import FactsReply
from jobpools.store.heartbeats import parse_heartbeats
from jobpools.store.job_ids import id_time
from jobpools.store.queue_policies import parse_policy
from jobpools.store.server import settings_warnings


async def read_endpoint(
    connection: Connection, pools: Mapping[str, Sequence[str]], now: int | str = ""
) -> EndpointFacts:
    """Read the queues and heartbeats of these pools (key → queue names) in one round trip.

    Raises StoreError when the server cannot be read: unknown is not zero.
    """
    queues = sorted({queue for names in pools.values() for queue in names})
    asked = queues or ["default"]  # the reply of a queue also has the server's time, by which heartbeats expire
    commands = [facts_reply.command(queue, now) for queue in asked]
    commands += [("HGETALL", keys.workers(pool)) for pool in pools]
    commands.append(("INFO", "memory"))
    replies = await connection.gather(commands, [facts_reply.SCRIPT])
    found = [facts_reply.parse(reply) for reply in replies[: len(asked)]]
    draining = {worker.decode() for reply in found for worker in reply.draining}
    server_now = found[0].now / 1000
    return EndpointFacts(
        queues={QueueName(queue): _queue_facts(reply) for queue, reply in zip(queues, found, strict=False)},
        heartbeats={
            pool: parse_heartbeats(pool, reply, draining, server_now)
            for pool, reply in zip(pools, replies[len(asked) :], strict=False)
        },
        warnings=settings_warnings(replies[-1]),
        now=server_now,
    )


def _queue_facts(reply: FactsReply) -> QueueFacts:
    counts, policy = reply.totals, parse_policy(reply.flat_policy)
    ages = [
        _age(reply.now / 1000, head.decode(), stamp) for head, stamp in zip(reply.heads, reply.ready_since, strict=True)
    ]
    return QueueFacts(
        queued=reply.queued,
        due=reply.due,
        scheduled=reply.scheduled,
        in_flight=reply.leases,
        dead=reply.dead,
        oldest_seconds=max((age for age in ages if age is not None), default=None),
        expired=bool(reply.expired),
        ended=reply.records,
        due_in=None if reply.next_due < 0 else (reply.next_due - reply.now) / 1000,
        completed_total=counts.get("completed", 0),
        failed_total=counts.get("failed", 0),
        crashed_total=counts.get("crashed", 0),
        dead_total=counts.get("dead", 0),
        pause=policy.pause,
        limits=policy.limits,
        oldest_dead=None if reply.died < 0 else (reply.now - reply.died) / 1000,
    )


def _age(now: float, job_id: str, since: bytes) -> float | None:
    ready = float(since) / 1000 if since else id_time(job_id)
    return None if ready is None else max(0.0, now - ready)


async def read_workers(connection: Connection, pool: str, queues: Sequence[str] = ()) -> tuple[Heartbeat, ...]:
    """Return the last heartbeat of each worker that is listed."""
    return (await read_endpoint(connection, {pool: list(queues)})).heartbeats[pool]
