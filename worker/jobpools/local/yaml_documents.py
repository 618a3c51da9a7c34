"""YAML text parsed into documents that know the line of each key, so that an error can point at it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from jobpools.core.text.error_text import first_line
from jobpools.errors import SpecError

_TIMESTAMP = "tag:yaml.org,2002:timestamp"
_MERGE = "<<"
"""The one key that may be repeated: it merges another mapping."""


class Loader(yaml.SafeLoader):
    """A safe loader that leaves dates as text, as the API server does."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _TIMESTAMP]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


Location = tuple[str | int, ...]
"""Keys and indexes that lead to a value: `("spec", "queues", 0, "name")`."""


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a YAML file."""

    file: str
    value: Any
    """The content as plain Python values."""
    lines: dict[Location, int]
    """Line of each key and item, starting at 1."""

    def line(self, location: Location) -> int:
        """Return the line of a value, or of its nearest parent that exists in the document."""
        while location and location not in self.lines:
            location = location[:-1]
        return self.lines[location]

    def error(self, location: Location, message: str) -> SpecError:
        """Return the error `file:line: path: message`."""
        path = format_location(location)
        return SpecError(f"{self.file}:{self.line(location)}: {f'{path}: ' if path else ''}{message}")


def format_location(location: Location) -> str:
    """Return the location as a path: `spec.queues[0].name`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.removeprefix(".")


def read(path: Path, name: str) -> list[Document]:
    """Return the documents of a file, except empty ones. `name` is the file's name in errors.

    Raises:
        SpecError: The file cannot be read, or is not valid YAML.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{name}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return parse(text, name)


def parse(text: str, name: str) -> list[Document]:
    """Return the documents of a text, except empty ones. `name` is the file's name in errors.

    Raises:
        SpecError: The text is not valid YAML, or repeats a key.
    """
    loader = Loader(text)
    found: list[Document] = []
    try:
        while loader.check_node():
            node: Any = loader.get_node()
            value: Any = loader.construct_document(node)  # pyright: ignore[reportUnknownMemberType]  # its stub is untyped
            document = Document(name, value, _lines(node, name))
            if document.value is not None:
                found.append(document)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = "" if mark is None else f":{mark.line + 1}"
        raise SpecError(f"{name}{where}: invalid YAML: {error.problem or error.context}") from error
    except RecursionError as error:
        raise SpecError(f"{name}: an anchor (&) contains an alias (*) of itself; remove the alias") from error
    except yaml.YAMLError as error:
        raise SpecError(f"{name}: invalid YAML: {first_line(error)}") from error
    finally:
        loader.dispose()
    return found


def _lines(node: Any, name: str) -> dict[Location, int]:
    lines: dict[Location, int] = {(): node.start_mark.line + 1}
    for location, line, is_duplicate in _walk(node, ()):
        if is_duplicate:
            first = lines[location]
            raise SpecError(
                f"{name}:{line}: {format_location(location)}: duplicate key, already in line {first}; remove one"
            )
        lines[location] = line
    return lines


def _walk(node: yaml.Node, location: Location) -> Iterator[tuple[Location, int, bool]]:
    """Yield (location, line, whether the key is a duplicate) of everything below a node."""
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield (*location, index), item.start_mark.line + 1, False
            yield from _walk(item, (*location, index))
    elif isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            yield (*location, name), key.start_mark.line + 1, name in seen and name != _MERGE
            seen.add(name)
            yield from _walk(value, (*location, name))
