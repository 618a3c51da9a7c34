"""YAML text → documents that know where each of their lines stands, so that an error can point at one."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from jobpools.errors import SpecError

TIMESTAMP = "tag:yaml.org,2002:timestamp"


class Loader(yaml.SafeLoader):
    """To whom a date is text, as it is to the API server."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != TIMESTAMP]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


Place = tuple[str | int, ...]
"""The way to a value: `("spec", "queues", 0, "name")`."""


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a file."""

    file: str
    value: Any
    """Plain Python values."""
    lines: dict[Place, int]
    """Of each key or item, from 1."""

    def line(self, place: Place) -> int:
        """The line of a place, or of the nearest one around it that exists."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines[place]

    def error(self, place: Place, message: str) -> SpecError:
        """`file:line: path: message`."""
        path = written(place)
        return SpecError(f"{self.file}:{self.line(place)}: {f'{path}: ' if path else ''}{message}")


def written(place: Place) -> str:
    """`spec.queues[0].name`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return text.removeprefix(".")


def read(path: Path, shown: str) -> list[Document]:
    """The documents of a file, empty ones left out. Raises SpecError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{shown}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return parse(text, shown)


def parse(text: str, shown: str) -> list[Document]:
    """The documents of a text. Raises SpecError."""
    loader = Loader(text)
    found = []
    try:
        while loader.check_node():
            node: Any = loader.get_node()
            lines: dict[Place, int] = {(): node.start_mark.line + 1}
            for place, line, twice in _walk(node, ()):
                if twice:
                    raise SpecError(
                        f"{shown}:{line}: {written(place)}: there twice; the first is in line {lines[place]}"
                    )
                lines[place] = line
            document = Document(shown, loader.construct_document(node), lines)
            if document.value is not None:
                found.append(document)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = "" if mark is None else f":{mark.line + 1}"
        raise SpecError(f"{shown}{where}: not YAML: {error.problem or error.context}") from error
    except RecursionError as error:
        raise SpecError(f"{shown}: an anchor (&) holds an alias (*) of itself") from error
    except yaml.YAMLError as error:
        raise SpecError(f"{shown}: not YAML: {str(error).splitlines()[0]}") from error
    finally:
        loader.dispose()
    return found


def _walk(node: yaml.Node, place: Place) -> Iterator[tuple[Place, int, bool]]:
    """(place, line, whether the key was there before) of everything below a node."""
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield (*place, index), item.start_mark.line + 1, False
            yield from _walk(item, (*place, index))
    elif isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            name = str(key.value)
            yield (*place, name), key.start_mark.line + 1, name in seen and name != "<<"
            seen.add(name)
            yield from _walk(value, (*place, name))
