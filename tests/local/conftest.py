"""A copy of the example for each test, which the test may edit."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.local.up_process import UpProcess

EXAMPLE = Path(__file__).parent / "example"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two pools and their app."""
    for path in EXAMPLE.iterdir():
        if path.is_file():
            shutil.copy(path, tmp_path)
    return tmp_path


@pytest.fixture
def up(folder: Path) -> Iterator[Callable[..., UpProcess]]:
    """`up("--until-idle", …)` starts `jobpools up . --until-idle …` in the folder."""
    with ExitStack() as stack:
        # A run that is killed leaves the folder of its embedded Valkey behind: in the test's own folder.
        env = {"TMPDIR": str(folder)}
        yield lambda *arguments: stack.enter_context(UpProcess(folder, [".", *arguments], env))
