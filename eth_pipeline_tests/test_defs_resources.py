"""The resource of a run: its settings are read once, and read again by the next run."""

from pathlib import Path

import dagster as dg
import pytest

from eth_pipeline.defs.resources import Pipeline


def test_a_run_decides_by_one_set_of_settings_and_the_next_run_reads_them_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps that saw a setting change in between would record a decision that no configuration explains."""
    monkeypatch.setenv("ETH_PIPELINE_HOME", str(tmp_path))
    seen: list[float] = []

    @dg.asset
    def first(pipeline: Pipeline) -> None:
        seen.append(pipeline.settings().signals.ml_weight)
        monkeypatch.setenv("ETH_PIPELINE_SIGNALS__ML_WEIGHT", "0.25")

    @dg.asset(deps=[first])
    def second(pipeline: Pipeline) -> None:
        seen.append(pipeline.settings().signals.ml_weight)

    resources = {"pipeline": Pipeline()}
    monkeypatch.setenv("ETH_PIPELINE_SIGNALS__ML_WEIGHT", "0.75")
    assert dg.materialize([first, second], resources=resources).success
    assert dg.materialize([second], resources=resources, selection=[second]).success
    assert seen == [0.75, 0.75, 0.25]
    monkeypatch.setenv("ETH_PIPELINE_SIGNALS__ML_WEIGHT", "0.5")
    assert Pipeline().settings().signals.ml_weight == 0.5, "outside of a run they are read at every call"
