"""Commands are encoded in C: the asyncio client would do it in Python, at a microsecond an argument."""

from functools import cache
from typing import Any

import hiredis


@cache
def packed(kind: type) -> type:
    """The same kind of connection, with hiredis as its encoder."""

    class Packed(kind):  # type: ignore[misc]  # which class it is, the URL says
        def pack_command(self, *args: Any) -> list[bytes]:
            """As the client's own; that one also splits names of two words, which hiredis does not."""
            if " " in args[0]:
                return list(super().pack_command(*args))
            try:
                return [hiredis.pack_command(args)]
            except TypeError:
                return list(super().pack_command(*args))

    Packed.__name__ = kind.__name__
    return Packed
