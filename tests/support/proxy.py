"""A proxy between a worker and its Redis that behaves as networks and servers do on a bad day."""

import contextlib
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: the peer reads `Connection reset by peer`."""


@dataclass(slots=True)
class Trouble:
    """What the proxy does to each command; the default is nothing."""

    reply: bytes = b""
    """An error reply in place of the server's, without the leading `-`."""
    spares: tuple[bytes, ...] = ()
    """Commands that pass in spite of `reply`: PING, where a server answers it and refuses writes."""
    hangs: bool = False
    """Connections are accepted, commands are read, and nothing is ever answered."""
    cuts_reply: bool = False
    """A connection ends within the reply."""
    resets: bool = False
    """Connections are reset as soon as they are made, and those that are there at their next command."""
    resets_every_other: bool = False
    """Every second connection is reset at its first command."""
    seconds: float = 0.0
    """The delay of each reply."""


@dataclass(slots=True)
class Seen:
    """What went through the proxy."""

    connections: int = 0
    commands: list[tuple[float, bytes]] = field(default_factory=list)
    """When, by the monotonic clock, and the command's name."""

    def count(self, name: bytes, since: float = 0.0) -> int:
        return sum(at >= since and command == name for at, command in self.commands)


class Proxy:
    """On a port of its own; `trouble` may be replaced at any time."""

    def __init__(self, target: int) -> None:
        self.trouble = Trouble()
        self.seen = Seen()
        self._target = target
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        proxy = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                proxy._serve(self.request)

        class Listening(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True
            request_queue_size = 128

        self._server = Listening(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        with self._lock:
            for each in self._open:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def _serve(self, client: socket.socket) -> None:
        self.seen.connections += 1
        number = self.seen.connections
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._target)) as server:
            with self._lock:
                self._open |= {client, server}
            try:
                self._converse(client, server, number)
            finally:
                with self._lock:
                    self._open -= {client, server}

    def _converse(self, client: socket.socket, server: socket.socket, number: int) -> None:
        commands, replies = _reader(client), _reader(server)
        while True:
            if self.trouble.resets:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                return
            request = _frame(commands)
            name = request.split(b"\r\n", 3)[2].upper()
            self.seen.commands.append((time.monotonic(), name))
            trouble = self.trouble
            if trouble.resets or (trouble.resets_every_other and number % 2):
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                return
            if trouble.hangs:
                while self.trouble.hangs:
                    time.sleep(0.02)
                return
            if trouble.reply and name not in trouble.spares:
                client.sendall(b"-" + trouble.reply + b"\r\n")
                continue
            server.sendall(request)
            answer = _frame(replies)
            time.sleep(trouble.seconds)
            if trouble.cuts_reply:
                client.sendall(answer[: max(1, len(answer) // 2)])
                return
            client.sendall(answer)


def _reader(source: socket.socket) -> Callable[[int | None], bytes]:
    """Returns a function that reads a line (None) or so many bytes; an OSError at the end."""
    kept = bytearray()

    def read(size: int | None) -> bytes:
        while (end := kept.find(b"\r\n") + 2 if size is None else size) < 2 or len(kept) < end:
            part = source.recv(1 << 16)
            if not part:
                raise ConnectionAbortedError
            kept.extend(part)
        taken = bytes(kept[:end])
        del kept[:end]
        return taken

    return read


def _frame(read: Callable[[int | None], bytes]) -> bytes:
    """One command or reply of the protocol, as it came."""
    head = read(None)
    kind, size = head[:1], head[1:-2]
    if kind == b"$" and size != b"-1":
        return head + read(int(size) + 2)
    if kind == b"*" and size != b"-1":
        return head + b"".join([_frame(read) for _ in range(int(size))])
    return head


@contextlib.contextmanager
def between(target: int) -> Iterator[Proxy]:
    """A proxy before the server at this port of loopback."""
    proxy = Proxy(target)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.trouble = Trouble()
        proxy.close()
