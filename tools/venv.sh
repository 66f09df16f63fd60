#!/usr/bin/env bash
# venv.sh FOLDER LOCK [-e]: a virtual environment with the exact versions of requirements/LOCK.lock and this inspectd, or
# with -e the checkout itself. $PYTHON makes it; uv fills it when it is there, pip when not, and both check the hashes
# and compile to byte-code, which halves the start of every command.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$1 lock=requirements/$2.lock edit=${3:-}
python=${PYTHON:-python3}

"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || {
  echo "inspectd needs Python 3.11, 3.12 or 3.13, and $python is another: name one, as in 'make PYTHON=python3.12'." >&2
  exit 1
}
echo "Setting up $folder; the first time takes a few minutes, most of them for TensorFlow."
if command -v uv >/dev/null; then
  uv venv --quiet --allow-existing --python "$("$python" -c 'import sys; print(sys.executable)')" "$folder"
  install=(uv pip install --quiet --compile-bytecode --python "$folder/bin/python")
  "${install[@]}" --require-hashes -r "$lock"
  "${install[@]}" --no-deps --no-build-isolation --reinstall $edit .
else
  "$python" -m venv "$folder"
  install=("$folder/bin/python" -m pip install --quiet --disable-pip-version-check)
  "${install[@]}" --require-hashes -r "$lock"
  "${install[@]}" --no-deps --no-build-isolation $edit .
fi
