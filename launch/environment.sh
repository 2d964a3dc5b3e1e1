# Sourced by demo.sh and test.sh: `environment demo` or `environment test` makes
# .venv, or finds it made, and puts its Python into $python. The demo needs the
# dependencies of pyproject.toml, at the versions of requirements.txt; the tests
# need all of requirements.txt.
# A copy of requirements.txt, .venv/demo.txt or .venv/test.txt, written last,
# says that .venv has that much. What serves the tests serves the demo; what
# serves the demo is completed for the tests; all else is made anew.
# shellcheck shell=bash

project=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
python=$project/.venv/bin/python

environment() {
  if _serves "$1"; then return; fi
  (
    # Two runs at once make it once.
    if command -v flock > /dev/null; then
      exec 9> "$project/.venv.lock" && flock 9 || exit 2
    fi
    if _serves "$1"; then exit; fi
    _serves demo || _make || exit
    _install "$1"
  )
}

_serves() {
  [[ -x $python ]] || return
  _has test || { [[ $1 == demo ]] && _has demo; }
}

_has() { cmp -s "$project/requirements.txt" "$project/.venv/$1.txt"; }

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
  local base
  base=$(_base_python) || return 2
  echo "making .venv with $("$base" --version)" >&2
  rm -rf "$project/.venv"
  if ! "$base" -m venv "$project/.venv"; then
    rm -rf "$project/.venv"
    echo "error: $base cannot make a virtual environment;" \
      'on Debian or Ubuntu: apt-get install python3-venv' >&2
    return 2
  fi
}

_install() {
  local log=$project/.venv/pip.log quiet=--quiet
  local wanted=$project/requirements.txt
  if [[ $1 == demo ]]; then
    wanted=$project/.venv/dependencies.txt
    "$python" -c 'import sys, tomllib
project = tomllib.load(open(sys.argv[1], "rb"))["project"]
print(*project["dependencies"], sep="\n")' \
      "$project/pyproject.toml" > "$wanted" || return 2
  fi
  if [[ -t 2 ]]; then quiet=; fi
  echo "installing what launch/$1.sh needs: a minute or two," \
    '1.5 GB of disk for the demo, 2.5 GB for the tests' >&2
  if ! "$python" -m pip install ${quiet:+"$quiet"} --no-input \
    --disable-pip-version-check --log "$log" --requirement "$wanted" \
    --constraint "$project/requirements.txt" >&2; then
    echo 'error: pip could not install requirements.txt (see above, and' \
      "$log); mend the network or the disk and run this again" >&2
    return 2
  fi
  cp "$project/requirements.txt" "$project/.venv/$1.part"
  mv "$project/.venv/$1.part" "$project/.venv/$1.txt"
}
