"""hack/with-test-cluster.sh removes the cluster that it started, and one that a killed run left behind."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.waiting import eventually

pytestmark = pytest.mark.api
HACK = Path(__file__).parents[2] / "hack"
PYTEST = """\
#!/bin/sh
case "$*" in *--collect-only*) exit 0;; esac
kubectl get namespace left-behind && exit 9
kubectl create namespace left-behind
echo $$ > began.new && mv began.new began
exec sleep ${1:-0}
"""
"""A stand-in for pytest: exits with 9 if it finds the namespace of an earlier run, else runs for the given seconds."""

Prepare = Callable[[int], "subprocess.Popen[str]"]


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """The environment of a bare cluster that only this test uses, on ports that are free when it starts."""
    left_out = ("KUBECONFIG", "CI", "CLUSTER_PORT", "CLUSTER_ETCD_PORT")
    env = {key: value for key, value in os.environ.items() if key not in left_out}
    return env | {"CLUSTER_RUN": str(tmp_path / "run"), "JOBPOOLS_CLUSTER": "bare"}


@pytest.fixture
def prepare(tmp_path: Path, env: dict[str, str]) -> Iterator[Prepare]:
    """`prepare(seconds)` starts a run that lasts so long. Its output is in the file `output`."""
    built = subprocess.run([HACK / "test-cluster.sh", "bin"], check=True, capture_output=True, text=True).stdout.strip()
    if not (Path(built) / "stamp").exists():
        pytest.skip("hack/test-cluster.sh build: the project's own Kubernetes is not compiled here")
    (tmp_path / "pytest").write_text(PYTEST)
    (tmp_path / "pytest").chmod(0o755)
    runs: list[subprocess.Popen[str]] = []
    with (tmp_path / "output").open("a") as output:

        def start(seconds: int) -> subprocess.Popen[str]:
            command = [str(HACK / "with-test-cluster.sh"), "./pytest", str(seconds)]
            runs.append(subprocess.Popen(command, cwd=tmp_path, env=env, stdout=output, stderr=output, text=True))
            return runs[-1]

        yield start
    for run in runs:
        run.kill()
        run.wait()
    subprocess.run([HACK / "test-cluster.sh", "down"], check=True, env=env)


def has_ended(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True


def wait_for_tests(folder: Path) -> int:
    """Return the id of the process of the tests, once they run."""
    file = folder / "began"
    eventually("the tests run", file.exists)
    pid = int(file.read_text())
    file.unlink()
    return pid


def test_the_next_run_removes_the_cluster_of_a_killed_run(prepare: Prepare, tmp_path: Path) -> None:
    killed = prepare(600)
    tests = wait_for_tests(tmp_path)
    killed.kill()
    eventually("its tests end with it", lambda: has_ended(tests))
    assert (tmp_path / "run" / "admin.conf").exists(), "the killed run cannot have removed it"
    assert prepare(0).wait(100) == 0
    assert "with-test-cluster: taking down the cluster of a run that was killed\n" in (tmp_path / "output").read_text()
    assert not (tmp_path / "run").exists()


def test_a_second_run_waits_for_the_first(prepare: Prepare, tmp_path: Path) -> None:
    first = prepare(600)
    wait_for_tests(tmp_path)
    second = prepare(0)
    line = f"with-test-cluster: waiting for the run that has the cluster (process {first.pid})\n"
    eventually("the second run waits", lambda: line in (tmp_path / "output").read_text())
    assert second.poll() is None
    first.send_signal(signal.SIGINT)
    assert first.wait(100) == 130
    assert second.wait(100) == 0
    assert not (tmp_path / "run").exists()
