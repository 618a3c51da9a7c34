#!/usr/bin/env bash
# Every test, in parts that run at the same time, for most of each is waiting:  hack/run-all-tests.sh .venv/bin/python [PYTEST OPTIONS]
#
#   with a Kubernetes   tests/cluster and tests/kube, on the one that hack/with-test-cluster.sh finds or starts
#   without             the other folders, in four parts, on servers and processes of this machine; the output of each
#                       part follows when all have ended
set -euo pipefail
cd "$(dirname "$0")/.."
[[ $# -gt 0 ]] || { sed -n '2,6p' "$0" | cut -c3-; exit 2; }
python=$1; shift
logs=$(mktemp -d)
running=()   # process groups of the parts without a Kubernetes

clean() {
  trap - EXIT
  local part
  for part in "${running[@]}"; do kill -INT -- "-$part" 2>/dev/null || true; done
  for part in "${running[@]}"; do wait "$part" 2>/dev/null || true; done
  rm -rf "$logs"
}
trap clean EXIT; trap 'exit 130' INT; trap 'exit 143' TERM HUP

part() { # NAME PYTEST ARGUMENT...: start one in the background, in a process group of its own: Ctrl-C comes to us, and clean passes it on
  local name=$1; shift
  set -m
  hack/end-with-parent.sh INT "$python" -m pytest -q -p no:cacheprovider "${options[@]}" "$@" >"$logs/$name" 2>&1 & running+=($!)
  set +m
}

options=("$@")
part 1-chaos-handlers tests/chaos/handlers
part 2-chaos --ignore=tests/chaos/handlers tests/chaos
part 3-runtime tests/runtime
part 4-rest --ignore=tests/chaos --ignore=tests/cluster --ignore=tests/kube --ignore=tests/runtime tests

how_far() { # as pytest says at the end of each line of dots
  local log
  for log in "$logs"/*; do printf ' %s %s' "$(basename "$log" | cut -c3-)" "$(sed -nE 's/.*\[ *([0-9]+%)\]$/\1/p' "$log" | tail -n 1)"; done
}

alive() { local part; for part in "${running[@]}"; do kill -0 "$part" 2>/dev/null && return; done; return 1; }

status=0
hack/end-with-parent.sh TERM hack/with-test-cluster.sh "$python" -m pytest -q "$@" tests/cluster tests/kube || status=$?
began=$SECONDS
while alive; do   # shows a waiting user that the tests still run
  if ((SECONDS >= began + 30)); then echo "run-all-tests: tests without a Kubernetes still run, $SECONDS s so far;$(how_far)" >&2; began=$SECONDS; fi
  sleep 0.2
done
for each in "${running[@]}"; do
  code=0; wait "$each" || code=$?
  ((code == 0)) || status=$code
done
running=()
cat "$logs"/*
exit "$status"
