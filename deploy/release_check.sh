#!/usr/bin/env bash
# Would a release work for somebody who has nothing but Python and pip? Builds the source distribution, from it the wheel,
# looks into both, installs each into an empty environment, and runs the demo from the wheel, away from the checkout.
#
#   deploy/release_check.sh [options of eth-pipeline demo, for example --years 1]
#
# Leaves the two files in dist/. Exit code 0: they may be published.
set -euo pipefail
cd "$(dirname "$0")/.."
repository=$PWD
python=${PYTHON:-$repository/.venv/bin/python}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
step() { printf '\n== %s\n' "$*"; }
pip() { "$1/bin/python" -m pip --disable-pip-version-check --quiet "${@:2}"; }

step "build"
rm -rf dist build/lib build/bdist.*
"$python" -m build --outdir dist . >"$scratch/build.log" 2>&1 || { tail -30 "$scratch/build.log"; exit 1; }
wheel=$(ls dist/*.whl) source=$(ls dist/*.tar.gz)
ls -l "$wheel" "$source"

step "the source distribution in an empty environment, and the contents of both"
# Its dependencies are the wheel's, from the same metadata; they are installed once, below.
"$python" -m venv "$scratch/source"
pip "$scratch/source" install --no-deps "$source"
"$python" deploy/release_contents.py dist --installed "$(echo "$scratch"/source/lib/python*/site-packages)"

step "the wheel in an empty environment, with the lock as constraints"
"$python" -m venv "$scratch/wheel"
# Constraints are names and versions: pip takes no extras there, and with hashes it would ask for the wheel's own.
sed -nE 's/^([A-Za-z0-9._-]+)(\[[^]]*\])?(==[^ ]+).*/\1\3/p' requirements.lock requirements.torch.lock >"$scratch/constraints.txt"
pip "$scratch/wheel" install --constraint "$scratch/constraints.txt" "$wheel"
pip "$scratch/wheel" check
"$scratch/wheel/bin/python" - <<'PYTHON'
import sys
from importlib.metadata import distributions

names = {d.name.lower(): d.version for d in distributions()}
print(f"{len(names)} packages, torch {names['torch']}")
if cuda := sorted(name for name in names if name.startswith("nvidia-")):
    sys.exit(f"pip took the CUDA build of torch ({', '.join(cuda[:3])}, ...). Name an index that has the CPU build: "
             "PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu")
PYTHON

step "the demo from the wheel, in a folder of its own"
mkdir "$scratch/away"
cd "$scratch/away"
env -i PATH="$scratch/wheel/bin:/usr/bin:/bin" HOME="$scratch/away" LANG=C.UTF-8 \
  eth-pipeline demo --home home "$@" | tee "$scratch/demo.log"
grep -q 'Signal ETHUSDT' "$scratch/demo.log" || { echo "The demo ended without a signal."; exit 1; }
grep -Eq '│ state +│ (tradeable|degraded) ' "$scratch/demo.log" || { echo "The demo's signal is blocked."; exit 1; }
step "done: $wheel and $source may be published"
