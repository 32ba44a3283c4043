#!/usr/bin/env bash
# The suites of the database on every major version that this machine has: from the wheels, and Debian's own servers.
# Each of them calls every function of the migrations, because the text of a function is only checked when it runs.
set -euo pipefail
cd "$(dirname "$0")/../.."
BIN=${BIN:-.venv/bin}

majors=$("$BIN/python" -c 'from prebooking.local.servers import servers_by_major; print(*servers_by_major())')
suites=$(ls tests/integration/test_{bell,booking_data,claim,finish,grants,heartbeat,local_instant,operator,privacy,rules,sessions,settle,terminal}*.py)
for major in $majors; do
  echo "Postgres $major (of $majors)"
  # shellcheck disable=SC2086 - names of our own, without spaces
  "$BIN/pytest" -q -n "${PROCESSES:-2}" --dist worksteal --postgres-major "$major" --every-function $suites tests/proof/test_lint.py
done
