"""A client that pings the server without pause until its stdin is closed, and prints how long the pings took."""

import json
import select
import socket
import sys
import time


def main(port: int) -> None:
    took: list[float] = []
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        print("ready", flush=True)
        while not select.select([sys.stdin], [], [], 0)[0]:
            begun = time.perf_counter()
            connection.sendall(b"PING\r\n")
            connection.recv(64)
            took.append(time.perf_counter() - begun)
    took.sort()
    json.dump({"longest": took[-1], "p99": took[len(took) * 99 // 100], "pings": len(took)}, sys.stdout)


if __name__ == "__main__":
    main(int(sys.argv[1]))
