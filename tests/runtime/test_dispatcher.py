"""Several queues share one set of slots, by weight."""

from collections import Counter
from typing import Any, cast

from jobpools.runtime.dispatcher import Dispatcher
from jobpools.runtime.lane import Lane
from jobpools.runtime.outage import Outage
from jobpools.runtime.processor import Processor


class Queue:
    def __init__(self, name: str, weight: int) -> None:
        self.name, self.weight, self.credit = name, weight, 0
        self.hungry, self.ailing = True, False


def shares(queues: list[Queue], *rooms: int) -> dict[str, int]:
    """How many jobs each queue may give over these rounds."""
    dispatcher = Dispatcher(cast("list[Lane]", queues), cast("Processor", None), Outage())
    total: Counter[str] = Counter()
    for room in rooms:
        found = cast("dict[Any, int]", dispatcher._shares(room))
        assert sum(found.values()) == (room if any(q.hungry and not q.ailing for q in queues) else 0)
        total.update({queue.name: share for queue, share in found.items()})
    return dict(total)


def test_a_large_room_divides_by_weight() -> None:
    assert shares([Queue("a", 3), Queue("b", 1)], 100) == {"a": 75, "b": 25}


def test_one_slot_at_a_time_divides_by_weight_too() -> None:
    assert shares([Queue("a", 3), Queue("b", 1)], *[1] * 100) == {"a": 75, "b": 25}
    assert shares([Queue("a", 1), Queue("b", 1), Queue("c", 1)], *[1] * 9) == {"a": 3, "b": 3, "c": 3}


def test_a_light_queue_is_never_forgotten() -> None:
    assert shares([Queue("a", 100), Queue("b", 1)], *[3] * 101)["b"] == 3


def test_only_hungry_queues_without_trouble_count() -> None:
    queues = [Queue("a", 1), Queue("b", 1), Queue("c", 1)]
    queues[0].hungry, queues[1].ailing = False, True
    assert shares(queues, 7) == {"c": 7}
    queues[2].hungry = False
    assert shares(queues, 7) == {}


def test_without_room_there_is_nothing_to_share() -> None:
    assert shares([Queue("a", 1), Queue("b", 2)], 0) == {}
