"""The hint of an error about a mistyped word."""

import difflib
from collections.abc import Iterable

KNOWN_SHOWN = 12
"""Maximum number of known words that an error lists when none of them is close."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean x?` for the closest known word, `; known: a, b` if none is close, or an empty text.

    Upper and lower case count as equal.
    """
    names = sorted(known)
    by_lower = {name.lower(): name for name in names}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {by_lower[close[0]]}?"
    shown = [*names[:KNOWN_SHOWN], "…"] if len(names) > KNOWN_SHOWN else names
    return f"; known: {', '.join(shown)}" if names else ""
