"""The training plan of the node, end to end on a small home, and the lines of its guide as they stand there."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from eth_pipeline.contracts.artifact import RUNTIME_CONTRACT, RuntimeContract
from eth_pipeline.defs.assets.candidate import newest_candidate
from eth_pipeline.defs.jobs import PLAN_JOBS
from eth_pipeline.defs.plan_work import INPUTS_TAG, PLAN_TAG, STAGE_TAG
from eth_pipeline_tests.small_home import SmallHome, small_home

REPOSITORY = Path(__file__).resolve().parents[1]
SCRIPTS = REPOSITORY / "h800"
PROGRAMS = Path(sys.executable).parent
PATIENCE_SECONDS = 280


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallHome]:
    """100 days of four symbols; a vintage may learn from 40 days."""
    with small_home(tmp_path_factory.mktemp("h800")) as built:
        built.environment.update(
            ETH_PIPELINE_TRAINING__MIN_TRAIN_HOURS=str(24 * 40),
            ETH_PIPELINE_COMMAND=str(PROGRAMS / "eth-pipeline"),
            DAGSTER_HOME=str(built.folder / "dagster"),
            PATH=f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}",
        )
        yield built


def started(home: SmallHome, *arguments: str) -> subprocess.Popen[str]:
    """The plan at scale tiny, as cron starts it."""
    return subprocess.Popen(
        [str(SCRIPTS / "run_training_plan.sh"), *arguments, "--scale", "tiny"],
        env={**os.environ, **home.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def killed_at(process: subprocess.Popen[str], line: str) -> None:
    """Kill the plan as the kernel does, as soon as it printed a line that begins so."""
    deadline = threading.Timer(PATIENCE_SECONDS, process.kill)
    deadline.start()
    assert process.stderr is not None
    seen = []
    for text in process.stderr:
        seen.append(text)
        if text.startswith(line):
            break
    else:
        pytest.fail(f"{line!r} was never printed:\n{''.join(seen)}")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    deadline.cancel()


def plan_runs_of(instance: dg.DagsterInstance, asset: str) -> list[str]:
    """Runs of plans that materialized an asset."""
    found = instance.fetch_materializations(dg.AssetKey(asset), limit=20).records
    runs = (instance.get_run_by_id(record.run_id) for record in found)
    return [run.run_id for run in runs if run is not None and PLAN_TAG in run.tags]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_plan_killed_in_the_middle_of_a_stage_completes_without_repeating_finished_work(home: SmallHome) -> None:
    killed_at(started(home, "all"), "[base] 1/6 ")
    second = started(home, "all", "--json")
    output, said = second.communicate(timeout=PATIENCE_SECONDS)
    assert second.returncode == 0, said
    summary: dict[str, Any] = json.loads(output)
    stages = summary["stages"]
    assert [(name, s["outcome"]) for name, s in stages.items()] == [
        ("data", "skipped"),
        ("base", "done"),
        ("stacking", "done"),
        ("onnx", "done"),
        ("report", "done"),
    ]
    assert summary["starts"] == 2
    assert stages["base"]["kept"], "the asset that was finished before the kill"
    assert {*stages["base"]["kept"], *stages["base"]["made"]} == set(PLAN_JOBS["plan_base"])
    assert all(s["peak_memory_megabytes"] > 50 for s in stages.values() if s["outcome"] == "done")
    assert {f["algorithm"] for f in summary["comparison"]["algorithms"]} == {
        "lightgbm",
        "cross_asset",
        "lstm",
        "tft",
        "stacking",
    }
    with home.entered() as instance:
        made = {name: len(plan_runs_of(instance, name)) for assets in PLAN_JOBS.values() for name in assets}
        assert made == dict.fromkeys(made, 1)
        assert not instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
        lineage = instance.get_run_by_id(stages["stacking"]["run_ids"][-1])
        assert lineage is not None
        assert (lineage.tags[PLAN_TAG], lineage.tags[STAGE_TAG]) == (summary["plan_id"], "stacking")
        assert lineage.tags[INPUTS_TAG] == stages["stacking"]["digest"]
        bundle = newest_candidate(instance)
    contract = RuntimeContract.model_validate_json((bundle / RUNTIME_CONTRACT).read_bytes())
    assert {model.algorithm for model in contract.models} == {"lightgbm", "cross_asset", "lstm", "tft"}
    assert contract.window_hours == 4, "the scale's settings reached the trainings"
    assert contract.stacks
    assert contract.regime is not None
    text = (home.folder / "plans" / summary["plan_id"] / "summary.md").read_text()
    assert "| base | done |" in text
    assert "| stacking | 5 h |" in text

    third = started(home, "all", "--check-only", "--json")
    output, said = third.communicate(timeout=PATIENCE_SECONDS)
    assert third.returncode == 0, said
    would = json.loads(output)
    assert [each["runs"] for each in would["stages"]] == [False] * 5
    assert all(each["why"] == "finished before, on the same inputs" for each in would["stages"])
    assert {check["name"] for check in would["checks"]} == {"memory", "shared memory", "disk", "clock", "data"}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("everything",), 2, "Choose from: all, data, base"),
        (("all", "--timeframe", "4h"), 2, "No model is trained for 4h"),
        (("all", "--symbol", "DOGEUSDT", "--check-only"), 3, "holds no bar of DOGEUSDT"),
    ],
)
def test_cron_can_tell_wrong_usage_from_a_host_that_is_not_ready(
    home: SmallHome, arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = started(home, *arguments)
    _, errors = done.communicate(timeout=PATIENCE_SECONDS)
    assert done.returncode == code, errors
    assert said in errors


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_lines_of_the_guide_backfill_a_home_as_they_stand(home: SmallHome) -> None:
    text = (REPOSITORY / "docs" / "h800.md").read_text()
    found = re.search(r"^## Backfills\n.*?^```bash\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    assert found is not None
    lines = found[1].strip().splitlines()
    asked = " ".join(lines)
    for what in ("market_history", "features", "vintages train", "historical_forecasts", "rebuilt_history"):
        assert what in asked
    for line in lines:
        done = subprocess.run(
            shlex.split(line),
            env={**os.environ, **home.environment},
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stderr[-2000:]}"
    with home.entered() as instance:
        for asset in ("market_history", "historical_forecasts", "rebuilt_history"):
            months = instance.get_materialized_partitions(dg.AssetKey(asset))
            assert months >= {"2025-05-01", "2025-06-01"}, asset
        assert instance.get_materialized_partitions(dg.AssetKey("model_vintage")) >= {"2025-05-01", "2025-06-01"}
        assert instance.get_materialized_partitions(dg.AssetKey("signal_history")) >= {"2025-06-28", "2025-06-29"}
