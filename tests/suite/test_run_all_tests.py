"""`hack/run-all-tests.sh` runs every test in one of its parts, and fails if a part fails or the coverage is too low."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STUB = """\
#!/usr/bin/env bash
# Stands in for Python: pytest and hack/branch_coverage.py only print a line.
echo "$*" >>"${0%/*}/calls"
case "$*" in
  *"branch_coverage.py tests") echo tests/core/test_x.py; echo tests/store/test_y.py ;;
  *"branch_coverage.py report") echo "the coverage"; exit "${COVERAGE_CODE:-0}" ;;
  *"branch_coverage.py run"*) echo "the measured part"; exit "${MEASURED_CODE:-0}" ;;
  *tests/chaos/handlers*) echo "a part" ;;
  *tests/cluster*) echo "the part with a Kubernetes"; exit "${CLUSTER_CODE:-0}" ;;
esac
"""

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """`run(**variables)` runs the program with a stub for Python, without a Kubernetes."""
    stub = tmp_path / "python"
    stub.write_text(STUB)
    stub.chmod(0o755)

    def start(**variables: str) -> "subprocess.CompletedProcess[str]":
        env = {name: value for name, value in os.environ.items() if name not in ("CI", "KUBECONFIG")}
        env |= {"JOBPOOLS_CLUSTER": "none", **variables}
        command = [str(ROOT / "hack" / "run-all-tests.sh"), str(stub)]
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)

    return start


def test_the_coverage_is_printed_last(run: Run) -> None:
    ended = run()
    assert ended.returncode == 0, ended.stderr
    assert "the measured part" in ended.stdout
    assert ended.stdout.splitlines()[-1] == "the coverage"


@pytest.mark.parametrize("part", ["COVERAGE_CODE", "MEASURED_CODE", "CLUSTER_CODE"])
def test_one_part_that_fails_makes_the_run_fail(run: Run, part: str) -> None:
    ended = run(**{part: "2"})
    assert ended.returncode == 2
    assert ended.stdout.splitlines()[-1] == "the coverage", "the other parts are run and printed"


def test_measured_tests_are_left_out_of_the_other_parts(run: Run, tmp_path: Path) -> None:
    run()
    calls = (tmp_path / "calls").read_text().splitlines()
    (rest,) = [line for line in calls if line.startswith("-m pytest") and line.endswith(" tests")]
    assert "--ignore=tests/core/test_x.py --ignore=tests/store/test_y.py" in rest
    for folder in ("chaos", "local", "cluster", "kube"):
        assert f"--ignore=tests/{folder} " in rest
        assert [line for line in calls if f" tests/{folder}" in line], f"tests/{folder} is in no other part"
