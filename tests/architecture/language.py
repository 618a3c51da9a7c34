"""Find retired words in prose and names, and docstrings that do not say what a thing does or is.

    python -m tests.architecture.language [PATH ...]

prints each place under the paths (default: everything). `docs/glossary.md` holds the list of retired words.
"""

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.architecture.parsed import nodes_of, tree_of

ROOT = Path(__file__).parents[2]
GLOSSARY = "docs/glossary.md"
LEFT_OUT = {GLOSSARY, "docs/enqueue.lua", "tests/architecture/language_baseline.json"}
"""Files that are not checked: the list of the words, a generated file, and the counts by rule."""
SUFFIXES = (".py", ".lua", ".md", ".yaml", ".yml", ".tpl", ".txt", ".toml", ".json", "Makefile", "Dockerfile")
FOLDERS_WITH_MESSAGES = ("worker/", "operator/")
CODE_SPAN = re.compile(r"``.*?``|`[^`\n]*`", re.DOTALL)
FENCE = re.compile(r"^ *```.*?^ *```", re.DOTALL | re.MULTILINE)
NAME_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


@dataclass(frozen=True)
class Place:
    """One place where a rule of the language is broken."""

    path: str
    line: int
    rule: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}: {self.text}"


@dataclass(frozen=True)
class Retired:
    """The retired words, for prose and for names."""

    prose: re.Pattern[str]
    names: frozenset[str]


def retired() -> Retired:
    """Return the retired words of the glossary."""
    table = (ROOT / GLOSSARY).read_text().partition("## Words that are not used")[2]
    rows = re.findall(r"^\| ([a-z, ]+) \| (everywhere|names) \| ", table, re.MULTILINE)
    everywhere = [word for words, where in rows if where == "everywhere" for word in words.split(", ")]
    in_names = [word for words, where in rows if where == "names" for word in words.split(", ")]
    phrases = "|".join(_pattern(word) for word in sorted(everywhere, key=len, reverse=True))
    return Retired(
        re.compile(rf"(?<![\w-])(?:{phrases})(?![\w-])", re.IGNORECASE),
        frozenset([*in_names, *(word for word in everywhere if " " not in word)]),
    )


def _pattern(word: str) -> str:
    """Return the pattern of a retired word; "there is no worker", "is no longer" and "is None" are allowed."""
    spaced = word.replace(" ", r"\s+").replace("none", "(?-i:none)")
    if word.startswith(("is no", "are no")):
        spaced = rf"(?<!there ){spaced}"
    return rf"{spaced}(?!\s+(?:longer|more)\b)" if word.endswith(" no") else spaced


def tracked() -> list[str]:
    """Return the paths of the repository's text files."""
    run = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    names = [name for name in run.stdout.split("\0") if name and name not in LEFT_OUT and (ROOT / name).is_file()]
    return [name for name in names if name.endswith(SUFFIXES) or _is_script(ROOT / name)]


def _is_script(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"#!"


def places(under: tuple[str, ...] = ("",)) -> list[Place]:
    """Return every broken rule in the files whose path begins with one of the prefixes."""
    words = retired()
    found: list[Place] = []
    for path in tracked():
        if path.startswith(under):
            text = (ROOT / path).read_text()
            found += in_prose(path, text, words)
            if path.endswith(".py"):
                found += in_python(path, tree_of(Path(path)), words)
            elif path.endswith(".lua"):
                found += _in_lua_names(path, text, words)
    return found


def in_python(path: str, tree: ast.Module, words: Retired) -> list[Place]:
    """Return the names that hold a retired word, and the docstrings that do not say what a thing does or is."""
    return [*_in_names(path, tree, words), *_in_docstrings(path, tree)]


def in_prose(path: str, text: str, words: Retired) -> Iterator[Place]:
    """Yield each retired word in the prose of a file."""
    if not words.prose.search(text):
        return
    for line, prose in _prose(path, text):
        plain = CODE_SPAN.sub(lambda code: re.sub(r"[^\n]", "`", code.group()), prose)
        for match in words.prose.finditer(plain):
            at = line + plain.count("\n", 0, match.start())
            yield Place(
                path, at, re.sub(r"\s+", " ", match.group().lower()), prose.splitlines()[at - line].strip()[:120]
            )


def _prose(path: str, text: str) -> Iterator[tuple[int, str]]:
    """Yield line number and text of each piece of prose in a file."""
    if path.endswith(".py"):
        yield from _python_prose(path, text)
    elif path.endswith(".md"):
        yield 1, FENCE.sub(lambda block: re.sub(r"[^\n]", " ", block.group()), text)
    elif path.endswith(".lua"):
        yield from ((at, line[line.index("--") :]) for at, line in enumerate(text.splitlines(), 1) if "--" in line)
    else:
        yield 1, text


def _python_prose(path: str, text: str) -> Iterator[tuple[int, str]]:
    """Yield comments and docstrings; of the product also its messages: the strings that hold a space."""
    with_messages = path.startswith(FOLDERS_WITH_MESSAGES)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    nodes = nodes_of(Path(path))
    docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) in docstrings:
                yield node.lineno, node.value
            elif with_messages and " " in node.value:
                yield node.lineno, node.value.replace("\n", " ")


def _in_names(path: str, tree: ast.Module, words: Retired) -> Iterator[Place]:
    for line, name in [(1, Path(path).stem), *_names(tree)]:
        for part in NAME_PART.findall(name):
            if part.lower() in words.names:
                yield Place(path, line, f"name: {part.lower()}", name)


def _names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and name of everything that a module defines."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.lineno, node.name
            case ast.Name(ctx=ast.Store()):
                yield node.lineno, node.id
            case ast.Attribute(ctx=ast.Store()):
                yield node.lineno, node.attr
            case ast.arg():
                yield node.lineno, node.arg


def _in_lua_names(path: str, text: str, words: Retired) -> Iterator[Place]:
    for at, line in enumerate(text.splitlines(), 1):
        code = line.partition("--")[0]
        for names in re.findall(r"\blocal (?:function )?([\w, ]+)|\bfunction [\w.]*\(([\w, ]*)\)", code):
            for name in re.findall(r"\w+", " ".join(names)):
                for part in NAME_PART.findall(name):
                    if part.lower() in words.names:
                        yield Place(path, at, f"name: {part.lower()}", name)


NOT_A_VERB = {
    "a", "an", "the", "this", "that", "these", "those", "one", "two", "no", "not", "any", "all", "each",
    "every", "both", "either", "neither", "some", "many", "more", "most", "only", "what", "which", "who",
    "whom", "whose", "whether", "when", "where", "why", "how", "if", "as", "of", "by", "for", "from", "in",
    "into", "on", "onto", "to", "with", "without", "within", "at", "after", "before", "until", "while", "since",
    "because", "under", "over", "between", "beside", "above", "below", "like", "it", "its", "he", "his", "they",
    "their", "we", "our", "you", "your", "is", "are", "was", "were", "be", "been", "and", "or", "but", "then",
    "so", "too", "also", "nothing", "never", "always", "once", "again", "here", "there", "exactly", "several",
    "everyone", "something", "true", "false", "none", "seconds", "milliseconds", "bytes", "number", "text",
    "name", "names",
}  # fmt: skip
ENDS_IN_S = frozenset({"pass", "press", "process", "address", "discuss", "focus", "express", "compress", "guess"})
NOT_A_THING = {
    "what", "which", "who", "whose", "whether", "when", "where", "why", "how", "if", "as", "of", "by", "for",
    "from", "in", "on", "to", "with", "at", "it", "this", "that",
}  # fmt: skip


def is_imperative(summary: str) -> bool:
    """Return whether a sentence is an imperative, judged by its first word."""
    first = re.match(r"[A-Za-z]+", summary)
    word = first.group().lower() if first else ""
    ends_like_a_verb = not word.endswith(("s", "ing", "ed")) or word in ENDS_IN_S or word in {"feed", "need", "seed"}
    return bool(word) and word not in NOT_A_VERB and ends_like_a_verb


def _in_docstrings(path: str, tree: ast.Module) -> Iterator[Place]:
    if not path.startswith(FOLDERS_WITH_MESSAGES):
        return
    for node in _public(tree):
        doc = ast.get_docstring(node)
        if doc is None:
            continue
        summary = doc.splitlines()[0]
        if isinstance(node, ast.ClassDef):
            if summary.partition(" ")[0].lower() in NOT_A_THING:
                yield Place(path, node.lineno, "class docstring", f"{node.name}: {summary}")
        elif not (_is_property(node) or is_imperative(summary)):
            yield Place(path, node.lineno, "docstring", f"{node.name}: {summary}")


def _public(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    """Yield the public functions and classes of a module, and the public methods of its public classes."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from (
                    each
                    for each in node.body
                    if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and not each.name.startswith("_")
                )


def _is_property(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any("property" in ast.unparse(each) for each in node.decorator_list)


def main(paths: list[str]) -> None:
    """Print each place, and the number of places by rule."""
    found = places(tuple(paths) or ("",))
    lines = [str(place) for place in sorted(found, key=lambda each: (each.path, each.line))]
    counts = Counter(place.rule for place in found).most_common()
    lines += [f"{count:6} {rule}" for rule, count in [*counts, ("in all", len(found))]]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
