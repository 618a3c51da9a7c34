"""What a mistyped word was meant to be, for errors."""

import difflib
from collections.abc import Iterable

KNOWN_SHOWN = 12
"""How many of the known words an error repeats when none of them is close."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean x?` for the closest of the known words, `; known: a, b` where none is close, or nothing.

    Case does not count: it is the commonest of mistakes.
    """
    names = sorted(known)
    by_lower = {name.lower(): name for name in names}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {by_lower[close[0]]}?"
    shown = [*names[:KNOWN_SHOWN], "…"] if len(names) > KNOWN_SHOWN else names
    return f"; known: {', '.join(shown)}" if names else ""
