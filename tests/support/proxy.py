"""A proxy between a worker and its Redis that injects the faults of networks and servers."""

import contextlib
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

RESET = struct.pack("ii", 1, 0)
"""Value of SO_LINGER with which closing resets a connection: the peer reads `Connection reset by peer`."""


@dataclass(slots=True)
class Faults:
    """What the proxy does to each command; the default is nothing."""

    reply: bytes = b""
    """An error reply in place of the server's, without the leading `-`."""
    passes: tuple[bytes, ...] = ()
    """Commands that pass despite `reply`, such as PING on a server that refuses writes only."""
    hangs: bool = False
    """Connections are accepted and commands are read, but there is no reply."""
    delivers_late: bool = False
    """Commands reach the server only when this fault is over; their clients get no reply, and may have ended."""
    cuts_reply: bool = False
    """Each reply is cut, and its connection closed."""
    resets: bool = False
    """New connections are reset at once, existing ones at their next command."""
    resets_every_other: bool = False
    """Every other connection is reset at its first command."""
    seconds: float = 0.0
    """Delay of each reply, in seconds."""


@dataclass(slots=True)
class Traffic:
    """What has passed through the proxy."""

    connections: int = 0
    commands: list[tuple[float, bytes]] = field(default_factory=list)
    """Time by the monotonic clock, and name, of each command."""

    def count(self, name: bytes, since: float = 0.0) -> int:
        return sum(at >= since and command == name for at, command in self.commands)


class Proxy:
    """A proxy on its own port; `faults` may be replaced at any time."""

    def __init__(self, target: int) -> None:
        self.faults = Faults()
        self.traffic = Traffic()
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
        self.traffic.connections += 1
        number = self.traffic.connections
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
            if self.faults.resets:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                return
            request = _frame(commands)
            name = request.split(b"\r\n", 3)[2].upper()
            self.traffic.commands.append((time.monotonic(), name))
            faults = self.faults
            if faults.resets or (faults.resets_every_other and number % 2):
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                return
            if faults.hangs or faults.delivers_late:
                self._withhold(faults, server, request)
                return
            if faults.reply and name not in faults.passes:
                client.sendall(b"-" + faults.reply + b"\r\n")
                continue
            server.sendall(request)
            answer = _frame(replies)
            time.sleep(faults.seconds)
            if faults.cuts_reply:
                client.sendall(answer[: max(1, len(answer) // 2)])
                return
            client.sendall(answer)

    def _withhold(self, faults: Faults, server: socket.socket, request: bytes) -> None:
        """Wait until the fault is over; then send a command that is delivered late, and ignore its reply."""
        while self.faults is faults:
            time.sleep(0.02)
        if faults.delivers_late:
            server.sendall(request)
            _frame(_reader(server))


def _reader(source: socket.socket) -> Callable[[int | None], bytes]:
    """Return a function that reads a line (None) or so many bytes; it raises OSError at the end of the stream."""
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
    """Return the bytes of one command or reply."""
    head = read(None)
    kind, size = head[:1], head[1:-2]
    if kind == b"$" and size != b"-1":
        return head + read(int(size) + 2)
    if kind == b"*" and size != b"-1":
        return head + b"".join([_frame(read) for _ in range(int(size))])
    return head


@contextlib.contextmanager
def running_proxy(target: int) -> Iterator[Proxy]:
    """Run a proxy in front of the server at this port of loopback."""
    proxy = Proxy(target)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.faults = Faults()
        proxy.close()
