"""Markdown can be reviewed line by line: prose wraps, and the README stays short."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROSE_LIMIT = 120
README_LINES, README_TABLE_LIMIT = 150, 100


def markdown_files() -> list[str]:
    run = subprocess.run(["git", "ls-files", "-z", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in run.stdout.split("\0") if name]


def prose_lines(text: str) -> list[tuple[int, str]]:
    """Return the numbered lines outside code blocks (fenced or indented), tables, and code spans that fill a line."""
    found, in_fence, previous_blank = [], False, True
    for number, line in enumerate(text.splitlines(), 1):
        is_fence = line.lstrip().startswith("```")
        in_fence ^= is_fence
        is_indented_code = line.startswith("    ") and previous_blank
        if not (in_fence or is_fence or line.startswith(("|", "`")) or is_indented_code):
            found.append((number, line))
        previous_blank = not line.strip() or is_indented_code
    return found


@pytest.mark.parametrize("name", markdown_files())
def test_prose_wraps(name: str) -> None:
    long = [f"{name}:{number}" for number, line in prose_lines((ROOT / name).read_text()) if len(line) > PROSE_LIMIT]
    assert not long, f"lines above {PROSE_LIMIT} characters; wrap them"


def test_the_readme_is_short() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= README_LINES
    assert not [line for line in lines if line.startswith("|") and len(line) > README_TABLE_LIMIT]


def test_the_index_links_every_page() -> None:
    index = (ROOT / "docs" / "index.md").read_text()
    pages = {name.removeprefix("docs/") for name in markdown_files() if name.startswith("docs/")}
    missing = {page for page in pages - {"index.md"} if "/" not in page and f"]({page})" not in index}
    assert not missing, "link them in docs/index.md"
