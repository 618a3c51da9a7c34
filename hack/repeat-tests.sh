#!/usr/bin/env bash
# Run tests several times in a row, to find those that fail now and then:
#
#   hack/repeat-tests.sh N [--beside-busy-loop] [--limit SECONDS] -- PYTEST ARGUMENTS...
#
#   N                    number of runs, 1 to 100; all of them run, also after a failed one
#   --beside-busy-loop   keep one core busy meanwhile
#   --limit SECONDS      end a run that takes longer, and count it as failed (default 900)
#
# Prints one line a run and a last line such as `10 of 10 green, 812 s`. The output of a failed run is kept, and its path is printed.
# Exit code: 0 if all runs were green, else 1. PYTHON: the interpreter (default: .venv/bin/python).
set -euo pipefail
cd "$(dirname "$0")/.."
usage() { sed -n '2,11p' "$0" | cut -c3- >&2; exit 2; }
die() { echo "repeat-tests: $*" >&2; exit 2; }

[[ ${1:-} =~ ^[0-9]+$ ]] || usage
runs=$((10#$1)) limit=900 beside='' loop='' child='' green=0; shift
while [[ $# -gt 0 && $1 != -- ]]; do
  case $1 in
    --beside-busy-loop) beside=yes; shift ;;
    --limit) limit=${2:-}; [[ $limit =~ ^[1-9][0-9]*$ ]] || die "--limit must be a number of seconds of at least 1, got '$limit'"; shift 2 ;;
    *) usage ;;
  esac
done
[[ $# -gt 1 ]] || usage
shift
((1 <= runs && runs <= 100)) || die "N must be from 1 to 100, got $runs"
logs=$(mktemp -d)

clean() { # end the processes that this script started, by process id
  trap - EXIT; trap '' INT TERM HUP
  if [[ -n $child ]] && kill -INT "$child" 2>/dev/null; then wait "$child" || true; fi
  [[ -z $loop ]] || kill "$loop" 2>/dev/null || true
  rmdir "$logs" 2>/dev/null || true   # stays if it holds the output of a failed run
}
trap clean EXIT; trap 'exit 130' INT; trap 'exit 143' TERM HUP

[[ -z $beside ]] || { hack/end-with-parent.sh KILL bash -c 'while :; do :; done' & loop=$!; disown; }

# `timeout --foreground` passes SIGINT on, and pytest then tears down its fixtures. A run that ignores it for 60 s is killed.
set -m   # a run has its own process group: Ctrl-C reaches this script, and clean passes it on
began=$SECONDS
for ((run = 1; run <= runs; run++)); do
  log=$logs/run-$run.log status=0 start=$SECONDS
  hack/end-with-parent.sh INT timeout --foreground --signal=INT --kill-after=60 "$limit" \
    "${PYTHON:-.venv/bin/python}" -m pytest -q -p no:cacheprovider "$@" >"$log" 2>&1 & child=$!
  wait "$child" || status=$?
  child='' took=$((SECONDS - start))
  case $status in
    0) green=$((green + 1)); echo "run $run of $runs: green, $took s"; rm "$log" ;;
    124 | 137) echo "run $run of $runs: ended after $took s, the limit is $limit s; output: $log" ;;
    *)
      echo "run $run of $runs: failed with exit code $status, $took s; output: $log"
      grep -E '^(FAILED|ERROR) ' "$log" | cut -c1-200 | sed 's/^/  /' || true ;;
  esac
done
echo "$green of $runs green, $((SECONDS - began)) s"
((green == runs))
