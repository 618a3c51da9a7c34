#!/usr/bin/env bash
# A command that gets a signal when the process that started it dies, be it by kill -9:  end-with-parent.sh TERM COMMAND...
# Where there is no setpriv (it is Linux's), the command runs all the same.
set -euo pipefail
[[ $# -gt 1 ]] || { sed -n '2,3p' "$0" | cut -c3-; exit 2; }
signal=$1; shift
command -v setpriv >/dev/null || exec "$@"
# The signal is asked for only once setpriv runs. A parent that died before then is noticed by its number.
exec setpriv --pdeathsig "$signal" -- sh -c '[ "$PPID" = "$0" ] || exit 1; exec "$@"' "$PPID" "$@"
