#!/usr/bin/env bash
# Trains on a slice of TPU VMs, to its end, over as many slices as that takes.
#
#   NAME=run ZONE=us-east5-a TYPE=v5p-128 CHIP=v5p \
#       bash launch/tpu_vm/train.sh WORKDIR FLAGS...
#
# asks for the slice as a queued resource, brings the project to its hosts,
# mounts what they share, and trains. A slice that is taken away is asked for
# again; the run goes on from its last checkpoint. FLAGS are those of
# launch.train; WORKDIR is below MOUNTED. gcloud must be logged in, and know
# the project.
set -uo pipefail

NAME=${NAME:?name of the slice}
ZONE=${ZONE:?zone, as us-east5-a}
TYPE=${TYPE:?accelerator type, as v5p-128}
CHIP=${CHIP:?v5e, v5p or v6e}
PROGRAM=${PROGRAM:-launch.train}
case $CHIP in # Google's table of TPU software versions
  v5e) image=v2-alpha-tpuv5-lite ;;
  v5p) image=v2-alpha-tpuv5 ;;
  *) image=v2-alpha-tpu$CHIP ;;
esac
RUNTIME=${RUNTIME:-$image} # of the VMs
SPOT=${SPOT:+--spot}       # SPOT=1: cheap, and may be taken away
# Run on every host before the first start: the shared folder, Python, packages.
MOUNT=${MOUNT:?command that mounts the shared folder, see README.md}
SETUP=${SETUP:-sudo apt-get install -y python3.11-venv &&
  python3.11 -m venv .venv && .venv/bin/pip install -q -e .[tpu]}
RESTARTS=${RESTARTS:-100} # after that a person should look
PAUSE=${PAUSE:-30}        # seconds between looks at the queue
WAIT=${WAIT:-900}         # seconds for all processes to come

if (($# < 1)); then
  echo 'usage: NAME=... bash launch/tpu_vm/train.sh WORKDIR FLAGS...' >&2
  exit 2
fi
project=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
tpus() { gcloud compute tpus "$@" --zone="$ZONE" --quiet; }
say() { echo "$(date -Is) $NAME: $*"; }

state() {
  local found
  if found=$(tpus queued-resources list --filter="name~/$NAME\$" \
    --format='value(state.state)'); then
    echo "${found:-ABSENT}"
  else
    echo UNKNOWN
  fi
}

# Waits for the slice, asking for it (again) where there is none.
acquire() {
  local now before=
  while now=$(state); [[ $now != ACTIVE ]]; do
    case $now in
      ABSENT)
        say "asking for $TYPE"
        # shellcheck disable=SC2086  # Empty, or one flag.
        tpus queued-resources create "$NAME" --node-id="$NAME" \
          --accelerator-type="$TYPE" --runtime-version="$RUNTIME" $SPOT ||
          return
        ;;
      FAILED | SUSPENDED)
        tpus queued-resources delete "$NAME" --force || return
        ;;
    esac
    if [[ $now != "$before" ]]; then say "$now"; fi
    before=$now
    sleep "$PAUSE"
  done
}

everywhere() {
  tpus tpu-vm ssh "$NAME" --worker=all --command="$1"
}

prepare() {
  local packed
  packed=$(mktemp --suffix=.tgz)
  tar -czf "$packed" -C "$project" --exclude=.venv --exclude=.git \
    --exclude=out . &&
    tpus tpu-vm scp "$packed" "$NAME:tv2tv.tgz" --worker=all &&
    everywhere "mkdir -p tv2tv && tar -xzf tv2tv.tgz -C tv2tv && cd tv2tv &&
      { [[ -f .ready ]] || { $SETUP; }; } && touch .ready && { $MOUNT; }"
  local status=$?
  rm -f "$packed"
  return $status
}

printf -v command ' %q' bash launch/hosts/attempt.sh "$PROGRAM" "$1" \
  --distributed --coordinator_timeout="$WAIT" "${@:2}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for ((start = 0; start <= RESTARTS; start++)); do
  acquire || exit 2
  if prepare; then
    say "start $start"
    # Each host says how it ended; what gcloud makes of several is not told.
    everywhere "cd tv2tv && CHIP=$CHIP PYTHON=.venv/bin/python$command" 2>&1 |
      tee "$log"
    if grep -q 'attempt: exit status 2$' "$log"; then
      say 'stopped by an error that starting again does not mend'
      exit 2
    fi
    if grep -q 'attempt: exit status 0$' "$log"; then
      say "finished; the slice is still there: \
gcloud compute tpus queued-resources delete $NAME --zone=$ZONE --force"
      exit 0
    fi
  else
    say 'the hosts could not be prepared'
  fi
  sleep "$PAUSE"
done
say "not finished after $RESTARTS restarts"
exit 75
