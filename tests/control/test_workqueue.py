"""The work queue gives what a dictionary would give that is searched for due keys each time."""

import math

from hypothesis import given, strategies as st

from jobpools.control.workqueue import SPARE_ITEMS, Workqueue

KEYS = st.sampled_from("abcdef")
TIMES = st.integers(0, 20).map(float)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), KEYS, TIMES),
        st.tuples(st.just("hasten"), KEYS, TIMES),
        st.tuples(st.sampled_from(("discard", "hold", "free")), KEYS, st.just(0.0)),
        st.tuples(st.just("take"), st.just(""), TIMES),
    )
)


@given(STEPS)
def test_keys_are_taken_when_they_are_due_and_the_earliest_first(steps: list[tuple[str, str, float]]) -> None:
    queue, due, held = Workqueue[str](), dict[str, float](), set[str]()
    for step, key, at in steps:
        if step == "put":
            queue.put(key, at)
            due[key] = at
        elif step == "hasten":
            queue.hasten(key, at)
            due[key] = min(due.get(key, at), at)
        elif step == "discard":
            queue.discard(key)
            due.pop(key, None)
        elif step == "hold":
            queue.hold(key)
            held.add(key)
        elif step == "free":
            queue.free(key)
            held.discard(key)
        else:
            free = {each: when for each, when in due.items() if each not in held and when <= at}
            taken = queue.take(at, 2)
            assert [due[each] for each in taken] == sorted(free.values())[:2]
            for each in taken:
                del due[each]
        assert len(queue) == len(due)
        assert queue.next_at() == min((when for each, when in due.items() if each not in held), default=math.inf)


def test_keys_that_are_due_together_are_taken_in_insertion_order() -> None:
    queue = Workqueue[str]()
    for key in ("c", "a", "b"):
        queue.put(key, 1.0)
    queue.put("c", 1.0)
    assert queue.take(1.0, 3) == ["c", "a", "b"]


def test_a_key_that_is_put_many_times_does_not_fill_the_heap() -> None:
    queue = Workqueue[str]()
    for number in range(10_000):
        queue.put("a", float(10_000 - number % 7))
    # Private: the size of the heap shows only in the memory of the process.
    assert len(queue._heap) <= 2 * len(queue) + SPARE_ITEMS + 1
