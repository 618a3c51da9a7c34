"""Measure the branch coverage of core, store and runtime, and fail below the floor of pyproject.toml.

python hack/branch_coverage.py tests                     print the files of the tests that are measured
python hack/branch_coverage.py run [PYTEST OPTION ...]   run these tests under coverage
python hack/branch_coverage.py report [--missing]        print a line for each package; also each file's missing lines

Exit code of `report`: 0 if every package reaches the floor (`fail_under` of `tool.coverage.report`), 2 otherwise.
"""

import io
import os
import sys
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from coverage import Coverage
from coverage.exceptions import CoverageWarning, NoDataError

ROOT = Path(__file__).parents[1]
FOLDERS = ("tests/core", "tests/store", "tests/contract", "tests/runtime")
"""Folders whose tests are measured. Measuring all would make `make test` slower without finding more."""
LEFT_OUT = (
    "tests/core/pools/test_sizing.py",
    "tests/core/schedules/test_plan.py",
    "tests/runtime/test_run_worker_budgets.py",
    "tests/runtime/test_worker_log.py",
    "tests/store/test_trim.py",
    "tests/store/test_model.py",
)
"""Tests with budgets, which measuring would distort, and tests that run the same lines thousands of times."""
PACKAGES = ("core", "store", "runtime")


@dataclass(frozen=True)
class PackageCoverage:
    """Covered share of a package's lines and branches, in percent."""

    package: str
    percent: float


def measured_tests() -> list[str]:
    """Return the paths of the tests that are measured."""
    paths = [str(path.relative_to(ROOT)) for folder in FOLDERS for path in sorted((ROOT / folder).rglob("test_*.py"))]
    return [path for path in paths if path not in LEFT_OUT]


def run(options: Iterable[str]) -> None:
    """Delete earlier data and replace this process by pytest under coverage: signals reach pytest itself."""
    os.chdir(ROOT)
    Coverage().erase()
    command = [sys.executable, "-m", "coverage", "run", "-m", "pytest", *options, *measured_tests()]
    os.execv(command[0], command)  # noqa: S606  # the caller's own options


def measured(coverage: Coverage) -> list[PackageCoverage]:
    """Return the coverage of each package. Raises NoDataError when no line of it was run."""
    return [
        PackageCoverage(f"jobpools.{each}", coverage.report(include=f"*/jobpools/{each}/*", file=io.StringIO()))
        for each in PACKAGES
    ]


def table(packages: Iterable[PackageCoverage], floor: float) -> str:
    """Return the coverage of each package as lines of text; a package below the floor is marked."""
    lines = [f"branch coverage (floor: {floor:g} %)"]
    for each in packages:
        rounded_down = int(each.percent * 10) / 10
        lines.append(f"  {each.package:<18}{rounded_down:5.1f} %{'' if each.percent >= floor else '  below the floor'}")
    return "\n".join(lines)


def report(*, missing: bool) -> int:
    """Print the coverage of the last run; return the exit code."""
    os.chdir(ROOT)
    warnings.simplefilter("ignore", CoverageWarning)  # a killed process may leave half a data file
    coverage = Coverage()
    coverage.load()  # the data that an earlier report combined
    coverage.combine()
    coverage.save()
    floor = float(str(coverage.get_option("report:fail_under")))
    try:
        packages = measured(coverage)
    except NoDataError:
        sys.stderr.write("branch coverage: no measurement; run make coverage\n")
        return 2
    if missing:
        coverage.report(show_missing=True, skip_covered=True)
    sys.stdout.write(f"{table(packages, floor)}\n")
    return 0 if all(each.percent >= floor for each in packages) else 2


def main(arguments: list[str]) -> int:
    """Run the subcommand; return the exit code."""
    match arguments:
        case ["tests"]:
            sys.stdout.write("".join(f"{path}\n" for path in measured_tests()))
        case ["run", *options]:
            run(options)
        case ["report"]:
            return report(missing=False)
        case ["report", "--missing"]:
            return report(missing=True)
        case _:
            sys.stderr.write(f"{__doc__}")
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
