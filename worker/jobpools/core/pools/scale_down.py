"""Fewer workers, and never a busy one: over several passes, each of which starts from the facts alone.

    1. choose    the surplus: not ready first, then idle longest; in a rollout, of each generation
    2. lock      DrainWorkers: a worker that holds a lease refuses; one that does not may claim no more
    3. mark      MarkWorkers: exactly those that are locked go first
    4. scale     SetReplicas, when the cluster shows the marks
    5. compare   a chosen one that is still there when the cluster has finished is counted, and unlocked

When the need rises again, what is chosen becomes less, and the others are unlocked and unmarked. Everything may be done
twice, and may stop after every step: the next pass, of whichever process, finds locks and marks and goes on or back.

In a rollout the cluster takes some of the surplus from each generation of workers, nobody can say how many, and within
a generation it follows the marks. So it is told only a size at which each generation alone could give all of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from jobpools.core.decision import Decision
from jobpools.core.events import Event
from jobpools.core.pools.actions import Action, DrainWorkers, MarkWorkers, SetReplicas, UndrainWorkers
from jobpools.core.pools.facts import ClusterFacts, Memory
from jobpools.core.pools.workers import Member

STARTUP = 30.0
"""Seconds in which a worker begins: it may be ready the next moment, and at work before it has reported."""
LEFT_TO_THE_CLUSTER = frozenset({"RolloutInProgress", "WaitsForReady"})
"""Reasons to wait that may last: a rollout to an image that does not exist stands still for days."""
ROLLOUT = "shrinks when the rollout is over, or enough workers of each of its generations are idle"


@dataclass(frozen=True, slots=True)
class Shrink:
    """The next step of a scale-down, or of its undoing."""

    actions: tuple[Action, ...]
    memory: Memory
    step: Decision[bool]
    """Whether something is under way, and what is waited for."""
    events: tuple[Event, ...] = ()
    misdeletions: int = 0


@dataclass(frozen=True, slots=True)
class Scene:
    """What a step is decided on: one pool whose facts are all known."""

    cluster: ClusterFacts
    members: tuple[Member, ...]
    surplus: int
    """How many workers too many are asked for; negative: too few."""
    leases: int
    """Jobs in flight in all the pool's queues."""
    memory: Memory
    now: float
    unlisted: int = 0
    """How many report that the cluster does not list: they have just come, or just gone."""

    @property
    def replicas(self) -> int:
        """How many workers are asked for now."""
        return self.cluster.replicas or 0


def shrink(scene: Scene) -> Shrink:
    """The next step. Without a surplus: end what is under way and give every lock back that nobody waits for."""
    memory = scene.memory
    alive = {member.heartbeat.worker for member in scene.members if member.heartbeat is not None}
    scene = replace(scene, memory=replace(memory, locked=tuple(each for each in memory.locked if each in alive)))
    leaving = _leaving(scene)
    if leaving > 0 or scene.surplus <= 0:
        return _settle(scene, leaving)
    return _step(scene)


def _step(scene: Scene) -> Shrink:
    missing = min(max(0, scene.replicas - len(scene.members) - scene.unlisted), scene.surplus)
    if missing:
        # Asked for and not there (yet): nobody has to be chosen. Should they appear meanwhile, they are not ready, and
        # go first. Who reports already may be ready and at work, though the watch of the cluster is behind.
        return _scaled(scene, scene.replicas - missing, ())
    chosen = _choose(scene)
    if _reach(scene, chosen) >= scene.replicas and scene.cluster.rolling:
        undone = (*_unlock(scene, ()), *([MarkWorkers(())] if _marked(scene) else []))
        return Shrink(undone, scene.memory, Decision(True, "RolloutInProgress", ROLLOUT))
    going = tuple(member for member in chosen if _may_go(scene, member))
    go = tuple(sorted(member.name for member in going if _needs_mark(scene, member)))
    # Crash window: from here to the SetReplicas below workers are locked for nobody. Who comes next takes the locks
    # again (they are idempotent) or gives them back, as the need is then.
    asked = tuple(member.heartbeat.worker for member in chosen if member.heartbeat and not _locked(scene, member))
    actions: list[Action] = [*_unlock(scene, chosen), *([DrainWorkers(asked)] if asked else [])]
    memory = scene.memory
    if actions or going:
        memory = replace(memory, draining_since=memory.draining_since or scene.now)
    if _marked(scene) != go:
        actions.append(MarkWorkers(go))
        return Shrink(tuple(actions), memory, Decision(True, "Draining", f"{len(go)} of {scene.surplus} are locked"))
    if (size := _reach(scene, going)) >= scene.replicas:
        waits = f"{scene.surplus} too many; {len(asked)} are asked to claim no more, the others are busy or starting"
        return Shrink(tuple(actions), memory, Decision(bool(asked), "WaitsForIdle", waits))
    if stranger := _goes_first(scene, going):
        waits = f"{stranger} is busy and not ready: the cluster would take it first"
        return Shrink(tuple(actions), memory, Decision(True, "WaitsForReady", waits))
    scaled = _scaled(replace(scene, memory=memory), size, go)
    return replace(scaled, actions=(*actions, *scaled.actions))


def _settle(scene: Scene, leaving: int) -> Shrink:
    """Nothing (more) to choose: wait for those that leave, then compare, unlock and unmark."""
    memory, kept = scene.memory, _likeliest(scene, leaving)
    actions: list[Action] = list(_unlock(scene, kept))
    names = tuple(sorted(member.name for member in kept if member.worker.marked))
    if _marked(scene) != names:
        actions.append(MarkWorkers(names))
    if kept:
        waits = f"{len(kept)} chosen ones are about to go"
        return Shrink(tuple(actions), memory, Decision(True, "Shrinking", waits))
    if len(scene.members) > scene.replicas:
        return Shrink(tuple(actions), memory, Decision(False, "Settled", "nobody that was chosen is left"))
    survivors = _survivors(scene)
    events = _compared(survivors)
    memory = replace(memory, victims=(), shrunk_to=None, draining_since=None)
    step = Decision(False, "Settled", "nobody is on the way out")
    return Shrink(tuple(actions), memory, step, events, len(survivors))


def _survivors(scene: Scene) -> list[str]:
    if scene.memory.shrunk_to != scene.replicas:
        return []
    return sorted(set(scene.memory.victims) & {member.name for member in scene.members})


def _compared(survivors: Sequence[str]) -> tuple[Event, ...]:
    message = f"the cluster kept {', '.join(survivors)}, chosen because idle, and took others"
    return (Event("Misdeleted", message, warning=True),) if survivors else ()


def _scaled(scene: Scene, replicas: int, go: tuple[str, ...]) -> Shrink:
    # In a rollout more are chosen than go: that some stay says nothing.
    memory = replace(scene.memory, victims=() if scene.cluster.rolling else go, shrunk_to=replicas)
    who = f", idle longest: {', '.join(go)}" if go else ""
    # Crash window: the cluster shrinks and nobody remembers whom we chose. Their locks hold, so that they stay idle,
    # and `_leaving` keeps them locked until as many are there as are asked for.
    return Shrink((SetReplicas(replicas),), memory, Decision(True, "Shrinking", f"to {replicas}{who}"))


def _leaving(scene: Scene) -> int:
    """How many locked workers the cluster is still to take for the size that it was already told."""
    if not any(_drained(member) or member.worker.marked for member in scene.members):
        return 0
    unready = sum(not (member.worker.ready or member.worker.marked or _drained(member)) for member in scene.members)
    return len(scene.members) - scene.replicas - unready


def _likeliest(scene: Scene, count: int) -> tuple[Member, ...]:
    candidates = [member for member in scene.members if _drained(member) or member.worker.marked]
    candidates.sort(key=lambda member: (not (_drained(member) and member.worker.marked), member.name))
    return tuple(candidates[: max(0, count)])


def _generations(scene: Scene) -> list[list[Member]]:
    """Those among whom the cluster follows the marks: all, but in a rollout."""
    groups: dict[str, list[Member]] = {}
    for member in scene.members:
        groups.setdefault(member.worker.generation if scene.cluster.rolling else "", []).append(member)
    return list(groups.values())


def _most(scene: Scene) -> int:
    """How many a generation may have to give: beside the surplus those that a rollout has beyond the size."""
    beyond = len(scene.members) - scene.replicas if scene.cluster.rolling else 0
    return scene.surplus + max(0, beyond)


def _reach(scene: Scene, free: Sequence[Member]) -> int:
    """The size that may be asked for when these may go and nobody else shall."""
    names, short = {member.name for member in free}, 0
    for group in _generations(scene):
        able = sum(member.name in names for member in group)
        if able < len(group):
            short = max(short, _most(scene) - able)
    return scene.replicas - scene.surplus + short


def _choose(scene: Scene) -> tuple[Member, ...]:
    """The surplus, as far as it may be touched: already locked, not ready, unheard of, idle longest, youngest."""
    chosen: list[Member] = []
    for group in _generations(scene):
        candidates = [member for member in group if _touchable(scene, member)]
        candidates.sort(
            key=lambda member: (member.worker.ready, not _drained(member), _idle_since(member), member.name)
        )
        chosen += candidates[: _most(scene)]
    return tuple(chosen)


def _touchable(scene: Scene, member: Member) -> bool:
    if member.heartbeat is not None:
        return _locked(scene, member) or not member.busy
    begins = 0 <= scene.now - member.worker.started <= STARTUP
    if not member.worker.ready:
        return bool(member.worker.problem) or not begins
    # Ready and never heard of: it may have claimed, unless there is no lease at all. The last instant stays open, as no
    # lock can be taken on a worker without an id; if it claims in it, its SIGTERM drain still finishes or hands back.
    return scene.leases == 0 and not begins


def _may_go(scene: Scene, member: Member) -> bool:
    return member.heartbeat is None or _locked(scene, member)


def _locked(scene: Scene, member: Member) -> bool:
    """Drained, by this process: a drain of several queues that was cut short by a crash is not whole."""
    return _drained(member) and member.heartbeat is not None and member.heartbeat.worker in scene.memory.locked


def _drained(member: Member) -> bool:
    return member.heartbeat is not None and member.heartbeat.draining


def _idle_since(member: Member) -> float:
    """For the order alone; unheard of comes first, and what is locked counts as idle though its last word was older."""
    if member.heartbeat is None:
        return 0.0
    return member.heartbeat.idle_since or member.heartbeat.started


def _needs_mark(scene: Scene, member: Member) -> bool:
    """Nobody of a generation that was never ready needs one: whoever the cluster takes there, nobody is missed."""
    rolling, generation = scene.cluster.rolling, member.worker.generation
    return not rolling or any(each.worker.ready for each in scene.members if each.worker.generation == generation)


def _goes_first(scene: Scene, going: Sequence[Member]) -> str:
    """A worker that was not chosen and that the cluster would take before the chosen ones: a mark counts for less."""
    names = {member.name for member in going}
    for group in _generations(scene):
        if any(member.worker.ready for member in group if member.name in names):
            strangers = (each.name for each in group if not each.worker.ready and each.name not in names)
            if stranger := next(strangers, ""):
                return stranger
    return ""


def _unlock(scene: Scene, kept: Sequence[Member]) -> tuple[Action, ...]:
    keep = {member.name for member in kept}
    ids = tuple(
        member.heartbeat.worker
        for member in scene.members
        if member.heartbeat is not None and member.heartbeat.draining and member.name not in keep
    )
    return (UndrainWorkers(ids),) if ids else ()


def _marked(scene: Scene) -> tuple[str, ...]:
    return tuple(sorted(member.name for member in scene.members if member.worker.marked))
