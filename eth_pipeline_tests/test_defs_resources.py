"""The resource of a run: its settings are read once, and read again by the next run."""

import sqlite3
from pathlib import Path

import dagster as dg
import pytest

from eth_pipeline.defs.resources import Pipeline
from eth_pipeline.exchange.transport import Transport
from eth_pipeline.lake import Lake


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


def test_a_process_shares_its_lake_a_run_its_door_and_the_run_closes_the_door(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twelve steps opened each table and the connection to the exchange anew: a third of an hour's work."""
    monkeypatch.setenv("ETH_PIPELINE_HOME", str(tmp_path))
    lakes: list[Lake] = []
    doors: list[Transport] = []

    def share(pipeline: Pipeline) -> None:
        lakes.append(pipeline.lake())
        with pipeline.transport() as door:
            doors.append(door)
        assert doors[-1].guard.breaker_states() == {}, "still open"

    @dg.asset
    def first(pipeline: Pipeline) -> None:
        share(pipeline)

    @dg.asset(deps=[first])
    def second(pipeline: Pipeline) -> None:
        share(pipeline)

    resources = {"pipeline": Pipeline()}
    assert dg.materialize([first, second], resources=resources).success
    assert dg.materialize([second], resources=resources, selection=[second]).success
    assert [lakes[0] is lake for lake in lakes] == [True, True, True]
    assert [doors[0] is door for door in doors] == [True, True, False]
    for door in doors:
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            door.guard.breaker_states()
    with Pipeline().transport() as door:
        pass
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        door.guard.breaker_states()
