"""The GPU benchmark runs without a GPU too, on the code that it measures with one, and does not pretend."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "h800" / "gpu_bench.py"


@pytest.mark.slow
def test_without_a_gpu_it_trains_tiny_sizes_alone_and_beside_each_other_and_says_cpu() -> None:
    sizes = ["hours=120", "epochs=1", "models=lstm", "device=cpu", "side_by_side=1", "copies=1"]
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *sizes], capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr
    machine, alone, beside = done.stdout.splitlines()
    assert machine.startswith("cpu: copies ")
    assert alone.startswith("lstm: 120 hours, 1 epochs: ")
    assert "float32" in alone
    assert alone.endswith(", cpu")
    assert beside.startswith("lstm x 1: ")
    assert ", cpu, " in beside
