#!/usr/bin/env bash
# Is this host fit for training: driver, CUDA, torch sees the GPU, memory, shared memory, disk, clock. `--cpu` asks for
# no GPU. Exit code 3 with what, why and what to do where it is not; see docs/h800.md.
set -euo pipefail
exec "${ETH_PIPELINE_COMMAND:-eth-pipeline}" plan preflight --plan "$(dirname -- "$0")/plan.yaml" --json "$@"
