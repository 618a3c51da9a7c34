"""A number with its noun: `1 job`, `2 jobs`."""


def count_of(number: int, noun: str, plural: str = "") -> str:
    """Return the number followed by the noun, in the plural unless the number is 1: `1 job`, `0 jobs`.

    `plural` is needed where it is not the noun with an s.
    """
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"
