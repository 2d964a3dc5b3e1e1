#!/usr/bin/env bash
# Makes the environment, then lint, format and the whole test suite, laws of
# the tree (import contract, BUILD, configs) first. Exit status 0: all passed.
#
#   bash launch/test.sh             everything
#   bash launch/test.sh tests/nn    some of it; arguments go to pytest
set -uo pipefail

# shellcheck source=launch/environment.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/environment.sh"
environment test || exit
cd "$project" || exit

failed=()
check() {
  local name=$1
  shift
  echo "== $name"
  "$@" || failed+=("$name")
}

check lint "$python" -m ruff check .
check format "$python" -m ruff format --check .
# One process a core, no more than 8. Each begins with its part of the tests, a
# file's together, so that what one of them compiled serves the others; who is
# done takes over some of what another still has before it.
check 'laws and tests' "$python" -m pytest \
  --numprocesses auto --maxprocesses 8 --dist worksteal --durations 10 "$@"

# On success pytest's own closing line is the last one.
if ((${#failed[@]})); then
  printf 'failed: %s\n' "${failed[@]}" >&2
  exit 1
fi
