"""`test-cluster.sh build` reports the program that it compiles, its number of all, and the seconds so far."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

CLUSTER = Path(__file__).parents[2] / "hack" / "test-cluster.sh"
PROGRAMS = [
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
    "etcd",
    "helm",
    "coredns",
    "kubeconform",
]
GO = """\
#!/usr/bin/env bash
# Stands in for Go: fails for the program in BROKEN, and takes long for the program in SLOW.
here=${0%/*}
case "$*" in
  list*) echo "$here/kubernetes" ;;
  *"${BROKEN:-nothing}"*) seq 30; echo "x.go:1: undefined: y" >&2; exit 1 ;;
  *"${SLOW:-nothing}"*) until (($(wc -l <"$here/output") > 4)); do sleep 0.05; done ;;
esac
"""


class Build:
    """A folder with a stand-in for Go, and a cache of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        stub = folder / "go"
        stub.write_text(GO)
        stub.chmod(0o755)
        schemas = folder / "kubernetes" / "api" / "openapi-spec" / "swagger.json"
        schemas.parent.mkdir(parents=True)
        schemas.write_text(json.dumps({"definitions": {}}))

    def run(self, **environment: str) -> tuple[int, list[str]]:
        """Return the exit code and the lines that were printed."""
        env = os.environ | {"PATH": f"{self.folder}:{os.environ['PATH']}", "CLUSTER_CACHE": str(self.folder / "cache")}
        output = self.folder / "output"
        with output.open("w") as file:
            run = subprocess.run([CLUSTER, "build"], env=env | environment, stderr=file, check=False)
        return run.returncode, output.read_text().splitlines()


@pytest.fixture
def build(tmp_path: Path) -> Build:
    return Build(tmp_path)


def test_each_program_is_named_and_counted(build: Build) -> None:
    status, lines = build.run()
    assert status == 0, lines
    assert [re.sub(r"\d+ s", "0 s", line) for line in lines[1:-1]] == [
        f"test-cluster: compiling {name} ({number} of 10), 0 s so far" for number, name in enumerate(PROGRAMS, 1)
    ]
    assert re.fullmatch(r"test-cluster: compiled 10 programs, \d+ s", lines[-1])
    assert build.run() == (0, []), "the second build compiles nothing"


def test_the_seconds_of_a_slow_program_are_printed(build: Build) -> None:
    status, lines = build.run(SLOW="cmd/kube-controller-manager", CLUSTER_PROGRESS="1")
    assert status == 0, lines
    progress = "test-cluster: compiling kube-controller-manager (2 of 10), "
    assert sum(line.startswith(progress) for line in lines) > 2


def test_a_failure_names_the_program_and_shows_the_compiler(build: Build) -> None:
    status, lines = build.run(BROKEN="cmd/kubelet")
    assert status == 1
    assert lines[-1].startswith("test-cluster: kubelet could not be compiled (go exited with 1); all of its output: ")
    assert lines[-2] == "  x.go:1: undefined: y"
    assert len(Path(lines[-1].rpartition(": ")[2]).read_text().splitlines()) == 31, (
        "the last 20 lines are shown, all are kept"
    )
    assert not list((build.folder / "cache").rglob("stamp"))
    assert build.run()[0] == 0, "the next build continues"
