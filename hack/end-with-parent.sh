#!/usr/bin/env bash
# Run a command that receives a signal when the process that started it dies, even by kill -9:
#
#   hack/end-with-parent.sh TERM COMMAND...
#
# Without setpriv, which only Linux has, the command runs and receives no signal.
set -euo pipefail
[[ $# -gt 1 ]] || { sed -n '2,6p' "$0" | cut -c3-; exit 2; }
signal=$1; shift
command -v setpriv >/dev/null || exec "$@"
# The kernel sends the signal only for a parent that dies after setpriv has asked for it. If the parent died before, its
# process id has changed.
exec setpriv --pdeathsig "$signal" -- sh -c '[ "$PPID" = "$0" ] || exit 1; exec "$@"' "$PPID" "$@"
