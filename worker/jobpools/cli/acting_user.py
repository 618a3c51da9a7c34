"""Who runs the command, for records that show who did something."""

import getpass
import socket


def acting_user() -> str:
    """Return `user@host`."""
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError):  # a container's user may have no name
        return socket.gethostname()
