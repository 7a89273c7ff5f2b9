#!/usr/bin/env bash
# Does the GPU train what it should: one model of each kind trained, exported and compared. `--device cpu` does the same
# without one; see docs/h800.md.
set -euo pipefail
exec "${ETH_PIPELINE_COMMAND:-eth-pipeline}" plan smoke --device cuda "$@"
