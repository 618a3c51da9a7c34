"""`make bench`: measure the hot path and compare each figure with the floor; both take turns, so that noise cancels."""

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from tests.bench import measure
from tests.bench.figures import Row, table
from tests.bench.histories import measure_history
from tests.bench.jobs import calls
from tests.bench.searches import measure_searches
from tests.support.servers import Server, running, valkey_binary

T = TypeVar("T")
SUBJECTS = ("floor", "product")
Turns = tuple[list[dict[str, float]], list[dict[str, float]]]
"""The figures of each round, of the floor and of the product."""
MIN_SHARE_OF_FLOOR = {1: None, 10: 0.5, 100: 0.4}
"""Budget of a drain, as a share of the floor's rate, by the number of slots."""
ONE_SLOT_DIVISOR = 5
"""Divisor of the number of jobs at one slot: there the floor makes one round trip for each job."""
PICK_UPS, SENT_ALONE, DUE_JOBS = 300, 4000, 100
"""Jobs of the part `pick-up`, of `enqueue` one at a time, and of `accuracy`."""
EXAMPLES = """\
examples:
  make bench                                                            all parts, about two minutes
  .venv/bin/python -m tests.bench --only drain --jobs 200000 --rounds 9
  .venv/bin/python -m tests.bench --output json > bench.json

"of the floor" is the median of the rounds' own ratios: worker and floor take turns, so a busy machine slows both.
Budgets in seconds are meant for a quiet machine.
"""


def main() -> None:
    arguments = _arguments()
    load = os.getloadavg()[0]
    rows: list[Row] = []
    with running(valkey_binary()) as server:
        for part in [arguments.only] if arguments.only else PARTS:
            rows += PARTS[part](server, arguments.jobs, arguments.rounds)
        with server.client() as client:
            about = client.info("server")
    machine = (
        f"{os.cpu_count()} cores, load {load:.1f} before and {os.getloadavg()[0]:.1f} after; "
        f"Python {platform.python_version()}, Valkey {about['valkey_version']}, {arguments.jobs:,} jobs a drain"
    )
    if arguments.output == "json":
        json.dump({"machine": machine, "rows": [row.as_json() for row in rows]}, sys.stdout, indent=2)
        print()
    else:
        print(table(rows))
        print(f"\nmedian (least..most) of {arguments.rounds} rounds; of the floor: above 1 is better; {machine}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m tests.bench",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--jobs", type=int, default=50_000, help="jobs of one drain (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of worker and floor (default: %(default)s)")
    parser.add_argument("--only", choices=PARTS, help="one part (default: all)")
    parser.add_argument("--output", choices=("table", "json"), default="table")
    return parser.parse_args()


def turns(what: str, rounds: int, turn: Callable[[str], T]) -> tuple[list[T], list[T]]:
    """Return what `turn` returned for the floor and for the product; each begins every other round."""
    found: dict[str, list[T]] = {subject: [] for subject in SUBJECTS}
    for number in range(rounds):
        for subject in SUBJECTS if number % 2 else reversed(SUBJECTS):
            print(f"\r\033[K{what}: {subject}, round {number + 1} of {rounds}", end="", file=sys.stderr, flush=True)
            found[subject].append(turn(subject))
    print("\r\033[K", end="", file=sys.stderr, flush=True)
    return found["floor"], found["product"]


def _row(what: str, unit: str, key: str, turn: Turns, **budgets: Any) -> Row:
    floor, product = turn
    return Row(what, unit, [each[key] for each in product], [each[key] for each in floor], **budgets)


def drain(server: Server, jobs: int, rounds: int) -> list[Row]:
    rates, costs = [], []
    for slots, min_share in MIN_SHARE_OF_FLOOR.items():
        queue = calls(jobs // ONE_SLOT_DIVISOR if slots == 1 else jobs)
        where = f"at {slots} slots" if slots > 1 else "at 1 slot"
        turn = turns(f"drain {where}", rounds, partial(measure.drain, server, slots, queue))
        rates.append(_row(f"drain {where}", "jobs/s", "rate", turn, least_of_floor=min_share, better="more"))
        if slots > 1:
            costs += [
                _row(f"commands sent a job {where} (a script is one)", "", "sent", turn, budget=1),
                _row(f"commands run a job {where} (those in scripts too)", "", "called", turn),
                _row(f"bytes a job {where}, both ways", "B", "bytes", turn),
                _row(f"worker's CPU a job {where}", "µs", "cpu", turn, budget=30),
                _row(f"server's CPU a job {where}", "µs", "server cpu", turn),
            ]
    return rates + costs


def pick_up(server: Server, _: int, rounds: int) -> list[Row]:
    floor, product = turns("pick-up", rounds, partial(measure.pick_up, server, PICK_UPS))

    def row(percent: int, budget: float) -> Row:
        place = PICK_UPS * percent // 100
        own, least = [each[place] for each in product], [each[place] for each in floor]
        return Row(f"pick-up by an idle worker, p{percent}", "ms", own, least, budget=budget)

    return [row(50, 0.6), row(99, 1.0)]


def enqueue(server: Server, jobs: int, rounds: int) -> list[Row]:
    single = turns("enqueue", rounds, partial(measure.sending, server, "send", SENT_ALONE))
    many = turns("enqueue many", rounds, partial(measure.sending, server, "send_many", jobs))
    return [
        Row("enqueue, one at a time", "jobs/s", single[1], single[0], least_of_floor=0.8, better="more"),
        Row("enqueue many, validated", "jobs/s", many[1], many[0], budget=150_000, better="more"),
    ]


def without_floor(server: Server, jobs: int, rounds: int) -> list[Row]:
    """Measure the figures that have no floor."""
    with tempfile.TemporaryDirectory() as bytecode:
        measure.idle(server, bytecode)  # the first start writes the bytecode
        found = [measure.idle(server, bytecode) for _ in range(rounds)]
    return [
        Row("memory of a waiting job in Redis", "B", [measure.pending(server, calls(jobs))], budget=250),
        Row("start of a worker until its first job", "s", [each["start"] for each in found], budget=0.25),
        Row("memory of an idle worker", "MB", [each["MB"] for each in found], budget=45),
        Row("commands sent by an idle worker", "1/s", [each["commands"] for each in found], budget=1),
    ]


def accuracy(server: Server, _: int, rounds: int) -> list[Row]:
    """Measure how late delayed jobs and ticks start with an idle worker."""

    def row(what: str, subject: str) -> Row:
        found = [sorted(measure.lateness(server, subject, DUE_JOBS)) for _ in range(rounds)]
        return Row(f"{what}, p99", "ms", [each[DUE_JOBS * 99 // 100 - 1] * 1000 for each in found], budget=50)

    return [row("lateness of a delayed job, idle worker", "delayed"), row("lateness of a tick, idle worker", "ticks")]


PARTS = {
    "drain": drain, "pick-up": pick_up, "enqueue": enqueue, "alone": without_floor, "accuracy": accuracy,
    "search": measure_searches, "history": measure_history,
}  # fmt: skip

if __name__ == "__main__":
    main()
