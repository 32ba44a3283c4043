#!/usr/bin/env bash
# The suites of the database on every major version that this machine has: from the wheels, and Debian's own servers.
# Together they call every function of the migrations, because the text of a function is only checked when it runs.
set -euo pipefail
cd "$(dirname "$0")/../../.."
BIN=${BIN:-.venv/bin}

majors=$("$BIN/python" -c 'from prebooking.local.servers import servers_by_major; print(*servers_by_major())')
for major in $majors; do
  echo "Postgres $major (of $majors)"
  "$BIN/pytest" -q -n "${PROCESSES:-2}" --dist worksteal --postgres-major "$major" --every-function --every-step -m database
done
