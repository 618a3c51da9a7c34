#!/usr/bin/env bash
# Run all tests, in parts at the same time because each spends most of its time waiting:
#
#   hack/run-all-tests.sh .venv/bin/python [PYTEST OPTIONS]
#
#   with a Kubernetes      tests/cluster and tests/kube, on the one that hack/with-test-cluster.sh finds or starts
#   without a Kubernetes   the other folders, in four parts, on servers and processes of this machine; the output of
#                          each part is printed when all have ended
#
# The branch coverage of one part (hack/branch_coverage.py) is printed last. Exit code: 0 if all tests passed and the
# coverage is not below its floor.
set -euo pipefail
cd "$(dirname "$0")/.."
[[ $# -gt 0 ]] || { sed -n '2,11p' "$0" | cut -c3-; exit 2; }
python=$1; shift
options=(-q -p no:cacheprovider "$@")
logs=$(mktemp -d)
running=()   # process groups of the parts without a Kubernetes
unset PYTHONDONTWRITEBYTECODE   # else each of the thousand processes that tests start compiles the product again
export PYDANTIC_DISABLE_PLUGINS=__all__   # else each reads the metadata of all packages in .venv, where no plugin is

clean() {
  trap - EXIT
  local part
  for part in "${running[@]}"; do kill -INT -- "-$part" 2>/dev/null || true; done
  for part in "${running[@]}"; do wait "$part" 2>/dev/null || true; done
  rm -rf "$logs"
}
trap clean EXIT; trap 'exit 130' INT; trap 'exit 143' TERM HUP

part() { # NAME PYTHON ARGUMENT...: start a part in the background, in its own process group: clean passes Ctrl-C on to it
  local name=$1; shift
  set -m
  hack/end-with-parent.sh INT "$python" "$@" >"$logs/$name" 2>&1 & running+=($!)
  set +m
}

mapfile -t measured < <("$python" hack/branch_coverage.py tests)
# The parts take about the same time.
part 1-handlers-local -m pytest "${options[@]}" tests/chaos/handlers tests/local
part 2-chaos -m pytest "${options[@]}" --ignore=tests/chaos/handlers tests/chaos
part 3-measured hack/branch_coverage.py run "${options[@]}"
elsewhere=(tests/chaos tests/local tests/cluster tests/kube "${measured[@]}")
part 4-rest -m pytest "${options[@]}" "${elsewhere[@]/#/--ignore=}" tests

progress() { # the percentage that pytest prints at the end of each line of dots, for each part
  local log
  for log in "$logs"/*; do printf ' %s %s' "$(basename "$log" | cut -c3-)" "$(sed -nE 's/.*\[ *([0-9]+%)\]$/\1/p' "$log" | tail -n 1)"; done
}

any_runs() { local part; for part in "${running[@]}"; do kill -0 "$part" 2>/dev/null && return; done; return 1; }

status=0
hack/end-with-parent.sh TERM hack/with-test-cluster.sh "$python" -m pytest -q "$@" tests/cluster tests/kube || status=$?
shown=$SECONDS
while any_runs; do   # a waiting user sees that the tests still run
  if ((SECONDS >= shown + 30)); then echo "run-all-tests: tests without a Kubernetes still run, $SECONDS s so far;$(progress)" >&2; shown=$SECONDS; fi
  sleep 0.2
done
for part in "${running[@]}"; do
  code=0; wait "$part" || code=$?
  ((code == 0)) || status=$code
done
running=()
cat "$logs"/*
"$python" hack/branch_coverage.py report || status=$?
exit "$status"
