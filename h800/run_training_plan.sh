#!/usr/bin/env bash
# The training plan beside this file: run_training_plan.sh [all|data|base|stacking|onnx|report] [options]
# Options and exit codes: `eth-pipeline plan run --help`, docs/h800.md.
set -euo pipefail
exec "${ETH_PIPELINE_COMMAND:-eth-pipeline}" plan run --plan "$(dirname -- "$0")/plan.yaml" "$@"
