"""Read the server's append-only file: each settlement in order, with the lease that it removed.

With `appendfsync always` the file has each command whose effect a client was told, before and after each kill, and the
commands of one script stand between MULTI and EXEC. Nothing of the product takes part in writing or reading it. The
file must not be rewritten meanwhile: start the server with `--auto-aof-rewrite-percentage 0`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Kind = Literal["completed", "cancelled", "dead"]
Command = list[bytes]
LETTERS: dict[bytes, Kind] = {b"c": "completed", b"x": "cancelled"}


@dataclass(frozen=True, slots=True)
class End:
    """One end of a job, as the server recorded it."""

    kind: Kind
    lease: str
    """The lease that the same script removed; empty: none, as for a queued job that is cancelled."""


@dataclass(slots=True)
class Record:
    """What the append-only file says about all jobs of one queue."""

    ends: dict[str, list[End]] = field(default_factory=dict)
    """By job: each end. A death that was undone (by a worker that came back, or by a replay) is not in it."""
    enqueued: dict[str, int] = field(default_factory=dict)
    """By job: how often its envelope was written."""
    leased_twice: list[str] = field(default_factory=list)
    """Jobs that got a lease while they had another."""
    former: dict[str, str] = field(default_factory=dict)
    """By lease that a rescuer took: the lease that it replaced."""
    undone: int = 0
    """Deaths that were undone."""


def read(folder: Path, queue: str) -> Record:
    """Return the record of a queue; `folder` is the `dir` of the server, which must have ended."""
    reader = _Reader(f"jobpools:{{{queue}}}:")
    for script in _scripts(_commands(_files(folder))):
        reader.add(script)
    return reader.record


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files with commands, in order. Raises ValueError if the file was rewritten."""
    where = folder / "appendonlydir"
    for line in (where / "appendonly.aof.manifest").read_text().splitlines():
        _, name, _, number, _, kind = line.split()
        if kind == "i":
            yield where / name
        elif number != "1":
            raise ValueError(f"{where}: the file was rewritten; start the server with auto-aof-rewrite-percentage 0")


def _commands(files: Iterator[Path]) -> Iterator[Command]:
    """Yield the commands; the last one of a file may be cut off by a kill, and is left out."""
    for path in files:
        raw, place = path.read_bytes(), 0
        while found := _command(raw, place):
            command, place = found
            yield command


def _command(raw: bytes, place: int) -> tuple[Command, int] | None:
    """Return the command at this place and the place behind it; None: the file ends before the command does."""
    head = _number(raw, place, b"*")
    if head is None:
        return None
    number, place = head
    parts: Command = []
    for _ in range(number):
        size = _number(raw, place, b"$")
        if size is None or size[1] + size[0] + 2 > len(raw):
            return None
        place = size[1] + size[0] + 2
        parts.append(raw[size[1] : place - 2])
    return parts, place


def _number(raw: bytes, place: int, mark: bytes) -> tuple[int, int] | None:
    """Return the number of a line such as `*3`, and the place behind the line; None: the line is cut off."""
    end = raw.find(b"\r\n", place)
    if end < 0:
        return None
    if raw[place : place + 1] != mark:
        raise ValueError(f"append-only file: not a command at byte {place}: {raw[place : place + 40]!r}")
    return int(raw[place + 1 : end]), end + 2


def _scripts(commands: Iterator[Command]) -> Iterator[list[Command]]:
    """Yield what belongs together: the commands between MULTI and EXEC, or a single one. An open MULTI is left out."""
    together: list[Command] | None = None
    for command in commands:
        name = command[0].upper()
        if name == b"MULTI":
            together = []
        elif name == b"EXEC":
            yield together or []
            together = None
        elif together is None:
            yield [command]
        else:
            together.append(command)


class _Reader:
    """Follows leases and ends, script by script."""

    def __init__(self, prefix: str) -> None:
        self.record = Record()
        self._prefix = prefix.encode()
        self._held: dict[str, str] = {}
        """By job: its lease."""
        self._removed: dict[str, str] = {}
        """By job: the lease that the current script removed."""

    def add(self, script: list[Command]) -> None:
        self._removed = {}
        for name, *arguments in script:
            if arguments and arguments[0].startswith(self._prefix):
                key = arguments[0][len(self._prefix) :].decode()
                self._apply(name.upper(), key, arguments[1:])

    def _apply(self, name: bytes, key: str, arguments: list[bytes]) -> None:
        texts = [each.decode() for each in arguments] if key in ("leases", "dead") else []
        match name, key:
            case b"ZADD", "leases" if texts[0] != "XX":  # a renewal adds nothing
                self._lease(texts[1::2])
            case b"ZREM", "leases":
                self._release(texts)
            case b"HSET", "jobs" | "results":
                self._write(key, arguments)
            case b"ZADD", "dead":
                for job_id in texts[1::2]:
                    self._end(job_id, "dead")
            case b"ZREM", "dead":
                self._undo(texts)
            case _:
                pass

    def _write(self, key: str, arguments: list[bytes]) -> None:
        for raw_id, value in zip(arguments[::2], arguments[1::2], strict=True):
            job_id = raw_id.decode()
            if key == "results":
                self._end(job_id, LETTERS[value[:1]])
            else:
                self.record.enqueued[job_id] = self.record.enqueued.get(job_id, 0) + 1

    def _lease(self, leases: list[str]) -> None:
        for lease in leases:
            job_id = lease.rsplit(":", 2)[0]
            if self._held.get(job_id, lease) != lease:
                self.record.leased_twice.append(job_id)
            if job_id in self._removed:
                self.record.former[lease] = self._removed[job_id]
            self._held[job_id] = lease

    def _release(self, leases: list[str]) -> None:
        for lease in leases:
            job_id = lease.rsplit(":", 2)[0]
            if self._held.get(job_id) == lease:  # a stale one is named as well, and removes nothing
                self._removed[job_id] = self._held.pop(job_id)

    def _end(self, job_id: str, kind: Kind) -> None:
        self.record.ends.setdefault(job_id, []).append(End(kind, self._removed.get(job_id, "")))

    def _undo(self, ids: list[str]) -> None:
        for job_id in ids:
            ends = self.record.ends.get(job_id, [])
            if ends and ends[-1].kind == "dead":
                ends.pop()
                self.record.undone += 1
