#!/usr/bin/env bash
# Runs a program once on this host, as every kind of cluster does.
#
#   bash launch/hosts/attempt.sh PROGRAM WORKDIR FLAGS...
#
#   CHIP     v5e, v5p, v6e, h100 or h200: whose compiler flags are set; none if
#            it is not set
#   PYTHON   python unless set
#   PATIENCE seconds for a report to show on every host, 10 unless set
#
# Exit status 0: the run is finished. 2: a person must mend something. Any
# other: the same command goes on from the last checkpoint; among them 75, also
# for a program that was told to stop and had saved.
set -uo pipefail

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." || exit 2
if (($# < 2)); then
  echo 'usage: bash launch/hosts/attempt.sh PROGRAM WORKDIR FLAGS...' >&2
  exit 2
fi
program=$1 workdir=$2
shift 2
python=${PYTHON:-python}

if [[ -n ${CHIP:-} ]]; then
  settings=$("$python" -m launch.xla_flags "$CHIP") || exit 2
  eval "$settings"
fi
# Beside the run: a host that is new finds what the one before it compiled.
export JAX_COMPILATION_CACHE_DIR=${JAX_COMPILATION_CACHE_DIR:-$workdir/compiled}
mkdir -p -- "$workdir" || exit 2

# As the first process of a container this shell gets the signals.
child=
# shellcheck disable=SC2329  # The trap does.
stop() { if [[ -n $child ]]; then kill -TERM "$child" 2> /dev/null; fi; }
trap stop TERM HUP INT
"$python" -m "$program" --workdir="$workdir" "$@" &
child=$!
wait "$child"
status=$?
while kill -0 "$child" 2> /dev/null; do # It was a signal that ended the wait.
  wait "$child"
  status=$?
done

# What evaluates a run is finished when it says so; a run, when there is a
# report of it, which process 0 has written before any other ends.
if ((status == 0)) && [[ $program != launch.evaluate ]]; then
  left=${PATIENCE:-10} # Shared folders show files late.
  while [[ ! -f $workdir/report.json ]] && ((left-- > 0)); do sleep 1; done
  if [[ ! -f $workdir/report.json ]]; then status=75; fi
fi
echo "attempt: exit status $status" >&2
exit "$status"
