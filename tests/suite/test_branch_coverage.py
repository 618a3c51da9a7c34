"""`hack/branch_coverage.py` prints the coverage of each package and fails below the floor of pyproject.toml."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hack.branch_coverage import PackageCoverage, table

ROOT = Path(__file__).parents[2]
HALF = """\
def half(value):
    if value:
        return 1
    return 0
"""
Report = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def report(tmp_path: Path) -> Report:
    """`report(body)`: measure a project in which each package has one module, and `body` is run; then report."""
    for package in ("core", "store", "runtime"):
        folder = tmp_path / "jobpools" / package
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text("")
        (folder / "half.py").write_text(HALF)
    (tmp_path / "jobpools" / "__init__.py").write_text("")
    program = tmp_path / "hack" / "branch_coverage.py"
    program.parent.mkdir()
    program.write_text((ROOT / "hack" / "branch_coverage.py").read_text())
    (tmp_path / "pyproject.toml").write_text(
        '[tool.coverage.run]\nbranch = true\nparallel = true\nsource_pkgs = ["jobpools"]\n'
        "[tool.coverage.report]\nfail_under = 75\n"
    )

    def start(body: str, *options: str) -> "subprocess.CompletedProcess[str]":
        (tmp_path / "main.py").write_text(body)
        env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
        for command in (["-m", "coverage", "run", "main.py"], ["hack/branch_coverage.py", "report", *options]):
            ended = subprocess.run(
                [sys.executable, *command], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
            )
        return ended

    return start


def calls(package: str, *values: int) -> str:
    return f"from jobpools.{package}.half import half\n" + "".join(f"half({value})\n" for value in values)


def test_every_package_above_the_floor_passes(report: Report) -> None:
    ended = report(calls("core", 0, 1) + calls("store", 0, 1) + calls("runtime", 0, 1))
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == [
        "branch coverage (floor: 75 %)",
        "  jobpools.core     100.0 %",
        "  jobpools.store    100.0 %",
        "  jobpools.runtime  100.0 %",
    ]


def test_one_package_below_the_floor_fails_however_good_the_others_are(report: Report) -> None:
    ended = report(calls("core", 0, 1) + calls("store", 0, 1) + calls("runtime", 1))
    assert ended.returncode == 2
    assert ended.stdout.splitlines()[3] == "  jobpools.runtime   66.6 %  below the floor"


def test_a_package_that_no_test_imports_fails(report: Report) -> None:
    ended = report(calls("core", 0, 1) + calls("store", 0, 1))
    assert ended.returncode == 2
    assert ended.stdout.splitlines()[3] == "  jobpools.runtime    0.0 %  below the floor"


def test_missing_lines_are_listed_by_file_on_request(report: Report) -> None:
    ended = report(calls("core", 1) + calls("store", 0, 1) + calls("runtime", 0, 1), "--missing")
    (line,) = [line for line in ended.stdout.splitlines() if line.startswith("jobpools/core/half.py")]
    assert line.endswith(" 4")


def test_without_a_measurement_it_says_how_to_make_one(report: Report) -> None:
    ended = report("")
    assert ended.returncode == 2
    assert "run make coverage" in ended.stderr


def test_a_share_is_rounded_down() -> None:
    """91.96 % must not be shown as 92.0 % and fail."""
    text = table([PackageCoverage("jobpools.core", 91.96)], 92.0)
    assert text.splitlines()[1] == "  jobpools.core      91.9 %  below the floor"
