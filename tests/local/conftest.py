"""A copy of the example for each test, which it may edit."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.local.runs import Run

EXAMPLE = Path(__file__).parent / "example"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The two pools and their app."""
    for path in EXAMPLE.iterdir():
        if path.is_file():
            shutil.copy(path, tmp_path)
    return tmp_path


@pytest.fixture
def up(folder: Path) -> Iterator[Callable[..., Run]]:
    """`up("--until-idle", …)` in the folder."""
    with ExitStack() as stack:
        # A run that is killed leaves its server's folder behind: in here.
        env = {"TMPDIR": str(folder)}
        yield lambda *arguments: stack.enter_context(Run(folder, [".", *arguments], env))
