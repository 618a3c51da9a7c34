"""A number with its noun: `1 job`, `2 jobs`."""


def count_of(number: int, noun: str) -> str:
    """Return the number followed by the noun, in the plural unless the number is 1: `1 job`, `0 jobs`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
