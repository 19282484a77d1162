# Sourced by the scripts beside it: makes a virtual environment once and again only when its inputs change.

# find_python: prints an interpreter of at least Python 3.11.
find_python() {
  local candidate
  for candidate in "${PYTHON:-}" python3.13 python3.12 python3.11 python3 python; do
    if [ -n "$candidate" ] && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      printf '%s\n' "$candidate"
      return
    fi
  done
  echo "PaCX needs Python 3.11 or newer (for example: apt-get install python3.11 python3.11-venv)." >&2
  return 1
}

# make_environment FOLDER REQUIREMENT...: creates FOLDER and installs what is asked for, pinned by constraints.txt.
make_environment() {
  local folder="$1" stamp python
  shift
  stamp="$(cat pyproject.toml constraints.txt clients/python/pyproject.toml | cksum) $*"
  if [ -f "$folder/pacx-stamp" ] && [ "$(cat "$folder/pacx-stamp")" = "$stamp" ]; then
    return
  fi
  python="$(find_python)"
  if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
    echo "Python's venv module is missing. Install it first, for example: apt-get install python3-venv" >&2
    return 1
  fi
  echo "Installing PaCX into $folder ..." >&2
  "$python" -m venv --clear "$folder"
  "$folder/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check --constraint constraints.txt "$@"
  # With all processors, where pip takes one; what cannot be compiled nobody imports.
  "$folder/bin/python" -m compileall -q -j 0 "$folder" >/dev/null || true
  printf '%s' "$stamp" >"$folder/pacx-stamp"
}
