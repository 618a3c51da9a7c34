"""The public API is typed as a user's mypy sees it: in strict mode, without this project's plugins and settings."""

import sys
from pathlib import Path

import jobpools

ROOT = Path(__file__).parents[2]


def test_mypy_accepts_valid_uses_and_finds_every_invalid_one() -> None:
    from mypy import api

    options = ["--strict", "--config-file", "", "--cache-dir", str(ROOT / ".mypy_cache" / "public_api")]
    output, errors, code = api.run(
        [*options, "--python-executable", sys.executable, str(ROOT / "tests" / "typing" / "public_api.py")]
    )
    assert (code, errors) == (0, ""), output


def test_the_package_declares_that_it_is_typed() -> None:
    assert (Path(str(jobpools.__file__)).parent / "py.typed").exists()
