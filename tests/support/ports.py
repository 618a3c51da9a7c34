"""Free ports of this machine, for servers that tests start."""

import contextlib
import secrets
import socket

FIRST, AFTER_LAST = 10_000, 32_768
"""Range of ports below those of outgoing connections on Linux (net.ipv4.ip_local_port_range).

A server binds its port some moments after it was chosen, and again after a restart: by then a port from the system's
range may belong to a connection of any other program.
"""
_given: set[int] = set()


def free_port() -> int:
    """Return a port that nothing listens on and that this function has not returned before."""
    while True:
        port = FIRST + secrets.randbelow(AFTER_LAST - FIRST)
        if port not in _given and _is_free(port):
            _given.add(port)
            return port


def _is_free(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
        return True
    return False
