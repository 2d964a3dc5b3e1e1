#!/usr/bin/env bash
# Films a game: at once with the model that comes with the code; then it records
# the game, trains a model of its own, and shows stories of both that obey words.
#
#   bash launch/demo.sh [OUT]       OUT is ./out/demo unless given
#
# Run it again to go on where it stopped; remove OUT to start afresh.
# OUT/first is the story of that model, OUT/index.html the page, OUT/report.json
# its figures, OUT/stages.json the wall seconds of each stage, over all the runs
# that worked on it.
set -euo pipefail

if (($# > 1)) || [[ ${1:-} == -* ]]; then
  echo 'usage: bash launch/demo.sh [OUT]' >&2
  exit 2
fi
mkdir -p -- "${1:-out/demo}/.stages"
out=$(cd -- "${1:-out/demo}" && pwd)
stages=$out/.stages # NAME.done holds what was run, NAME.seconds its times.

# shellcheck source=launch/environment.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/environment.sh"

if command -v flock > /dev/null; then
  exec 8> "$stages/lock"
  if ! flock --nonblock 8; then
    echo "error: another demo is at work in $out; wait, or name another" >&2
    exit 2
  fi
fi

names=()
commands= # So far: a stage is done again when one before it changes.
current=
began=

begin() {
  current=$1 began=$SECONDS
  echo "== $1"
}

end() {
  echo "$((SECONDS - began))" >> "$stages/$current.seconds"
  current=
}

stop() {
  local status=$?
  trap - EXIT
  if [[ -n $current ]]; then
    echo "$current stopped; to go on: bash launch/demo.sh $out" >&2
    end
  fi
  exit "$status"
}
trap stop EXIT
trap 'exit 130' INT TERM

# stage NAME COMMAND...: runs the command, unless that has been done.
stage() {
  local name=$1 mark=$stages/$1.done
  shift
  names+=("$name")
  commands+="$*"$'\n'
  if [[ -f $mark && $(< "$mark") == "${commands%$'\n'}" ]]; then
    echo "== $name: done"
    return
  fi
  rm -f "$mark"
  begin "$name"
  "$@" 8>&- # No child, however long it lives, keeps the lock.
  end
  printf '%s' "$commands" > "$mark.part"
  mv "$mark.part" "$mark"
  write_seconds
}

# {"record": 93, ...}: what OUT/stages.json holds.
write_seconds() {
  local name sum line comma=
  {
    for name in "${names[@]}"; do
      sum=0
      if [[ -f $stages/$name.seconds ]]; then
        while read -r line; do sum=$((sum + line)); done \
          < "$stages/$name.seconds"
      fi
      printf '%s"%s": %d' "${comma:-"{"}" "$name" "$sum"
      comma=', '
    done
    echo '}'
  } > "$out/stages.json.part"
  mv "$out/stages.json.part" "$out/stages.json"
}

run() { "$python" -m "launch.$1" "${@:2}"; }

# The table and the path of the page go to a file: a later run shows them too.
obedience() {
  run obedience "$@" > "$out/table.txt.part"
  mv "$out/table.txt.part" "$out/table.txt"
}

cd "$project"
names=(environment)
begin environment
environment demo
end

released=launch/released/doom
stage first run generate --workdir "$released" --out "$out/first" \
  --start 10 --seconds 6 --seed 1 --say '1.0: turn left' --say '3.0: attack'
cat << EOF
a first story: $out/first/story.mp4, its sheet: $out/first/story.png
to say something yourself: .venv/bin/python -m launch.studio --workdir $released
EOF
commands= # What follows does not depend on it.

stage record run record --source vizdoom --out "$out/records" \
  --minutes 30 --seed 0
stage tokenize run tokenize --records "$out/records" \
  --out "$out/tokenizer.model"
stage vae run train_vae --config configs/doom_vae.py --workdir "$out/vae" \
  --config.data.records="$out/records"
stage encode run encode --vae "$out/vae" --records "$out/records" \
  --tokenizer "$out/tokenizer.model" --out "$out/latents"
stage train run train --config configs/doom.py --workdir "$out/model" \
  --config.sources.latents="$out/latents" --config.sources.vae="$out/vae" \
  --config.sources.tokenizer="$out/tokenizer.model"
stage obedience obedience --workdir "$out/model" --records "$out/records" \
  --out "$out" --released "$released"

cat "$out/table.txt"
