"""GET requests to the endpoints of a process."""

import urllib.error
import urllib.request


def get(port: int, path: str) -> tuple[int, str, str]:
    """Return status, content type and body."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read().decode()
