"""Journal of the handlers: a line for each begin and end of an attempt, in a file that outlives all processes."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from jobpools import Context

BEGUN, DONE = "begun", "done"


@dataclass(frozen=True, slots=True)
class Note:
    """One line of the journal."""

    id: str
    what: str
    process: int
    at: float
    lease: str
    """Lease id of the attempt, which ends with its fence."""


def lease_of(ctx: Context) -> str:
    """Return the lease id of an attempt: the public Context does not have it."""
    return str(ctx._source.lease)  # type: ignore[attr-defined]  # an attempt of a real worker has it


def note(ctx: Context, what: str) -> None:
    """Append a line to the journal."""
    line = f"{ctx.id} {what} {os.getpid()} {time.time():.3f} {lease_of(ctx)}\n"
    # One write to a file opened for appending: lines of several processes do not mix.
    with open(os.environ["JOBPOOLS_NOTES"], "a") as file:  # noqa: PTH123  # the event loop waits, and this is fastest
        file.write(line)


def read(path: Path) -> list[Note]:
    """Return all complete lines of the journal."""
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    found = [line.split() for line in lines if line.endswith("\n")]
    return [Note(i, what, int(process), float(at), lease) for i, what, process, at, lease in found]
