"""What a run prints is kept for the UI and shown by the process, which starts no other process for it."""

import os
import subprocess
import sys
from pathlib import Path

from dagster._core.storage.compute_log_manager import ComputeIOType

from eth_pipeline.defs.storage.run_output import RunOutput

_RUN = """
import os, sys
import dagster as dg
from pathlib import Path
from eth_pipeline.defs.instance import open_instance
from eth_pipeline.settings import load_settings

@dg.asset
def talkative() -> None:
    print("printed by Python")
    os.system("echo printed by a child; echo and complained >&2")
    print("children:", Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())

with open_instance(load_settings()) as instance:
    run = dg.materialize([talkative], instance=instance, raise_on_error=True)
    print("RUN", run.run_id)
"""


def test_a_run_s_output_is_in_its_file_and_on_the_screen_and_nobody_else_was_started(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _RUN],
        env={**os.environ, "ETH_PIPELINE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    folder = tmp_path / "dagster" / "storage"
    (out,) = folder.rglob("*.out")
    kept = out.read_text()
    for said in ("printed by Python", "printed by a child", "children: []"):
        assert said in kept
        assert said in done.stdout
    assert "RUN" not in kept, "the capture ends with the run"
    assert "and complained" in out.with_suffix(".err").read_text()
    assert "and complained" in done.stderr
    key = [*out.parent.relative_to(folder).parts, out.stem]
    files = RunOutput(base_dir=str(folder))
    assert files.is_capture_complete(key)
    stored, _ = files.get_log_data_for_type(key, ComputeIOType.STDOUT)
    assert stored is not None
    assert stored.decode() == kept


def test_more_than_a_block_arrives_whole(tmp_path: Path) -> None:
    """A training prints megabytes; what is shown must not end where one read did."""
    code = f"""
import sys
from eth_pipeline.defs.storage.run_output import RunOutput
with RunOutput(base_dir={str(tmp_path)!r}).capture_logs(["run", "compute_logs", "step"]):
    for number in range(50_000):
        print(number)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split() == [str(number) for number in range(50_000)]
    assert (tmp_path / "run" / "compute_logs" / "step.out").read_text() == done.stdout
