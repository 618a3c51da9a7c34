"""Leader election with a real Lease and a fake clock."""

import asyncio
from collections.abc import Callable

import pytest

from jobpools_operator.kube.client import COORDINATION_API, Api, path_of
from jobpools_operator.kube.leadership import DEADLINE, DURATION, Leadership
from tests.cluster.kubectl import Kubectl
from tests.kube.campaigns import campaigning

pytestmark = pytest.mark.api


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


Make = Callable[[str], Leadership]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(api: Api, kubectl: Kubectl, clock: Clock) -> Make:
    return lambda identity: Leadership(api, kubectl.namespace, "lease", identity, clock)


async def test_the_first_operator_leads_and_the_second_stands_by(make: Make) -> None:
    a, b = make("a"), make("b")
    await a.try_acquire_or_renew()
    await b.try_acquire_or_renew()
    assert (a.is_leading, b.is_leading) == (True, False)


async def test_a_leader_that_does_not_renew_stops_before_another_may_start(make: Make, clock: Clock) -> None:
    a, b = make("a"), make("b")
    await a.try_acquire_or_renew()
    await b.try_acquire_or_renew()
    clock.now += DEADLINE + 0.1
    await b.try_acquire_or_renew()
    assert (a.is_leading, b.is_leading) == (False, False)
    clock.now += DURATION - DEADLINE
    await b.try_acquire_or_renew()
    assert (a.is_leading, b.is_leading) == (False, True)
    await a.try_acquire_or_renew()
    assert (a.is_leading, b.is_leading) == (False, True), "it sees that another operator leads"


async def test_standbys_wait_while_the_leader_renews(make: Make, clock: Clock) -> None:
    a, b = make("a"), make("b")
    for _ in range(5):
        await a.try_acquire_or_renew()
        await b.try_acquire_or_renew()
        clock.now += DEADLINE - 1
    assert (a.is_leading, b.is_leading) == (True, False)


async def test_a_released_lease_is_taken_over_at_once(make: Make) -> None:
    a, b = make("a"), make("b")
    await a.try_acquire_or_renew()
    await b.try_acquire_or_renew()
    await a.release()
    await b.try_acquire_or_renew()
    assert (a.is_leading, b.is_leading) == (False, True)


async def test_one_of_several_simultaneous_attempts_succeeds(make: Make, clock: Clock) -> None:
    operators = [make(name) for name in "abcdef"]
    await asyncio.gather(*(each.try_acquire_or_renew() for each in operators))
    assert sum(each.is_leading for each in operators) == 1
    clock.now += DURATION + 1
    await asyncio.gather(
        *(each.try_acquire_or_renew() for each in operators)
    )  # each sees for the first time what the leader wrote last
    clock.now += DURATION + 1
    await asyncio.gather(*(each.try_acquire_or_renew() for each in operators))
    assert sum(each.is_leading for each in operators) == 1


async def test_the_lease_shows_the_holder_and_the_number_of_transitions(make: Make, api: Api, kubectl: Kubectl) -> None:
    a, b = make("a"), make("b")
    await a.try_acquire_or_renew()
    await a.release()
    await b.try_acquire_or_renew()
    spec = (await api.get(path_of(COORDINATION_API, kubectl.namespace, "leases", "lease")))["spec"]
    assert (spec["holderIdentity"], spec["leaseTransitions"]) == ("b", 1)


async def test_an_operator_that_loses_the_lease_stops_acting(make: Make, api: Api, kubectl: Kubectl) -> None:
    a = make("a")
    async with campaigning(a) as term, asyncio.timeout(10):
        await term.began.wait()
        path = path_of(COORDINATION_API, kubectl.namespace, "leases", "lease")
        await api.merge(path, {"spec": {"holderIdentity": "another"}}, "test")
        await term.ended.wait()
        assert not a.is_leading
