"""Run jobs while processes, servers and networks fail, and account for every job.

Workers, Redis, the producer and a controller are killed with SIGKILL at random instants; the controller rescues jobs as
the operator does, and replays dead ones. Workers are stopped with SIGSTOP and continued. Proxies between them
cut, lose, reset, slow and refuse, and deliver commands late. The queue is paused and resumed. Jobs succeed, fail and
are retried, time out, crash their workers, snooze, discard themselves, expire, are delayed, have three priorities, and
with --cancel are cancelled. Redis runs with `appendfsync always`.

A job is *lost* if it is not completed, dead or cancelled at the end. It is *settled twice* if the server's append-only
file has two ends of it, or the totals count more ends than jobs. tests/chaos/accounts.py describes the records that are
compared. The exit code is 0 if every job is accounted for, and 1 otherwise, with the ids and where they are.
"""

import argparse
import asyncio
import secrets
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos import append_only, notes, places, storm
from tests.chaos.accounts import Account, Evidence, account
from tests.chaos.fleet import Fleet
from tests.chaos.workload import QUEUE, plan_of

SHOWN = 20
"""Maximum number of jobs that a list of the report names."""
LINE_INTERVAL = 10.0
"""Seconds between two lines of progress where the output is not a terminal."""
EXAMPLES = """\
examples:
  make chaos                                                        20,000 jobs, about a minute and a half
  .venv/bin/python -m tests.chaos --jobs 2000 --seconds 20 --seed 7
  .venv/bin/python -m tests.chaos --jobs 5000 --cancel 0.05         5 % of the jobs are cancelled
  .venv/bin/python -m tests.chaos --seed 7 --keep chaos-7           keep the logs, the journal and Redis's files

A seed repeats the jobs and the draws of the faults. Instants depend on the machine, so no two runs are the same.
"""


def main() -> int:
    arguments = _arguments()
    options = storm.Options(arguments.jobs, arguments.seconds, arguments.seed, arguments.workers, arguments.cancel)
    received: list[int] = []

    def interrupt(number: int, _: object) -> None:
        received.append(number)
        signal.raise_signal(signal.SIGINT)  # asyncio cancels the run, which repairs what it has broken

    signal.signal(signal.SIGTERM, interrupt)
    print(f"chaos: seed {options.seed}; repeat with --seed {options.seed}")
    folder = Path(tempfile.mkdtemp(prefix="jobpools-chaos-"))
    try:
        return _run(folder, options)
    except KeyboardInterrupt:
        print("\nchaos: interrupted; all processes are ended", file=sys.stderr)
        return 128 + (received or [signal.SIGINT])[0]
    finally:
        if arguments.keep is not None:
            shutil.copytree(folder, arguments.keep, dirs_exist_ok=True)
        shutil.rmtree(folder, ignore_errors=True)


def _run(folder: Path, options: storm.Options) -> int:
    begin = time.monotonic()
    line = _ProgressLine()
    with Fleet(folder, options.workers) as fleet:
        aftermath = asyncio.run(storm.run(fleet, options, line.report))
        line.clear()
        with fleet.server.client() as client:
            where, results = places.read(client, QUEUE), places.records(client, QUEUE)
            histories, remains = places.records(client, QUEUE, "history"), places.remains(client, QUEUE)
        fleet.server.kill()
        plans = [plan_of(options.seed, number, options.cancel_share) for number in range(options.jobs)]
        record, journal = append_only.read(fleet.data, QUEUE), notes.read(fleet.notes_file)
        found = account(Evidence(plans, where, results, record, histories, remains, journal, aftermath.totals))
    found.wrong += [f"worker {name}: it did not end after SIGTERM" for name in aftermath.stuck_workers]
    if aftermath.producer_problem:
        found.wrong.append(f"producer: {aftermath.producer_problem}")
    others = ", ".join(f"{count} {what}" for what, count in sorted(fleet.others.items()))
    print(
        f"chaos: {found.attempts} attempts, {found.run_again} jobs ran again, {record.undone} deaths undone; {others}"
    )
    _print_problems(found)
    print(found.summary(fleet.kills, time.monotonic() - begin))
    return 0 if found.is_clean else 1


def _print_problems(found: Account) -> None:
    for title, lines in (
        ("lost", [f"{job_id}: {where}" for job_id, where in found.lost.items()]),
        ("settled twice", [f"{job_id}: {how}" for job_id, how in found.settled_twice.items()]),
        ("wrong", found.wrong),
    ):
        for line in lines[:SHOWN]:
            print(f"{title}: {line}")
        if len(lines) > SHOWN:
            print(f"{title}: and {len(lines) - SHOWN} more")


class _ProgressLine:
    """One line that a terminal shows again and again; elsewhere a line every LINE_INTERVAL seconds."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._next = time.monotonic() + LINE_INTERVAL

    def report(self, progress: storm.Progress) -> None:
        if self._is_terminal:
            print(f"\r\033[K{str(progress)[:110]}", end="", file=sys.stderr, flush=True)
        elif time.monotonic() >= self._next:
            self._next += LINE_INTERVAL
            print(progress, file=sys.stderr, flush=True)

    def clear(self) -> None:
        if self._is_terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m tests.chaos",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--jobs", type=int, default=20_000, help="number of jobs (default: %(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="seconds for which faults strike (default: %(default)g)"
    )
    parser.add_argument("--seed", type=int, default=None, help="repeats jobs and faults (default: a random number)")
    parser.add_argument("--workers", type=int, default=4, help="number of workers (default: %(default)s)")
    parser.add_argument(
        "--cancel", type=float, default=0.0, metavar="SHARE", help="share of the jobs to cancel, 0 to 1 (default: 0)"
    )
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="copy logs, journal and Redis's files to a folder")
    found = parser.parse_args()
    for name, least, most in (("jobs", 1, 1e6), ("seconds", 0, 3600), ("workers", 1, 64), ("cancel", 0, 1)):
        if not least <= getattr(found, name) <= most:
            parser.error(f"--{name}: {getattr(found, name)} is out of range; give a number from {least} to {most:g}")
    if found.seed is None:
        found.seed = secrets.randbelow(100_000)
    return found


if __name__ == "__main__":
    sys.exit(main())
