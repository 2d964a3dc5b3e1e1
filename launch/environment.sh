# Sourced by demo.sh and test.sh: `environment` makes .venv from
# requirements.txt, or finds it made, and puts its Python into $python.
# A copy of requirements.txt, written last, says that .venv is whole; without
# it, or when it differs, .venv is made anew.
# shellcheck shell=bash

project=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
python=$project/.venv/bin/python

environment() {
  if _made; then return; fi
  local base
  base=$(_base_python) || return 2
  (
    # Two runs at once make it once.
    if command -v flock > /dev/null; then
      exec 9> "$project/.venv.lock" && flock 9 || exit 2
    fi
    _made || _make "$base"
  )
}

_made() {
  [[ -x $python ]] &&
    cmp -s "$project/requirements.txt" "$project/.venv/requirements.txt"
}

# The first Python of 3.11 and 3.12; $PYTHON before all others.
_base_python() {
  local candidate version found=none
  for candidate in ${PYTHON:+"$PYTHON"} python3.11 python3.12 python3 python; do
    # A name may be there and not run (a shim of another version).
    version=$("$candidate" -c \
      'import sys; print("%d.%d" % sys.version_info[:2])' 2> /dev/null) ||
      continue
    case $version in
      3.11 | 3.12) command -v "$candidate" && return ;;
    esac
    found="$candidate is $version"
  done
  echo "error: needs Python 3.11 or 3.12 (found: $found);" \
    'install one, or name it: PYTHON=<its path>' >&2
  return 2
}

_make() {
  local base=$1 count log=$project/.venv/pip.log quiet=--quiet
  count=$(grep -c '==' "$project/requirements.txt")
  if [[ -t 2 ]]; then quiet=; fi
  echo "making .venv with $("$base" --version): about $count packages," \
    'a minute or two, 1.5 GB of disk' >&2
  rm -rf "$project/.venv"
  if ! "$base" -m venv "$project/.venv"; then
    rm -rf "$project/.venv"
    echo "error: $base cannot make a virtual environment;" \
      'on Debian or Ubuntu: apt-get install python3-venv' >&2
    return 2
  fi
  if ! "$python" -m pip install ${quiet:+"$quiet"} --no-input \
    --disable-pip-version-check --log "$log" \
    --requirement "$project/requirements.txt" >&2; then
    echo 'error: pip could not install requirements.txt (see above, and' \
      "$log); mend the network or the disk and run this again" >&2
    return 2
  fi
  cp "$project/requirements.txt" "$project/.venv/requirements.part"
  mv "$project/.venv/requirements.part" "$project/.venv/requirements.txt"
}
