#!/usr/bin/env bash
# build_wheelhouse.sh FOLDER [--torch-index URL]   every pin of the two locks and this package, as wheels
# build_wheelhouse.sh FOLDER --check               is every pin in the folder, byte for byte as it was built
set -euo pipefail
exec "${PYTHON:-python3}" "$(dirname -- "$0")/wheelhouse.py" "$@"
