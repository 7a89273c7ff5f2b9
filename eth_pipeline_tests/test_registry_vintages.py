"""Tests of eth_pipeline.registry.runs.vintages: what older code stored is read in today's shape, and loses nothing."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from eth_pipeline.contracts.model_tables import HISTORICAL_FORECASTS
from eth_pipeline.contracts.table import TableContract
from eth_pipeline.lake import Lake
from eth_pipeline.registry.runs.vintages import upgrade_forecasts

SINCE = ("quantiles", "regime", "input_coverage", "out_of_bounds_share")
BEFORE = TableContract(
    name=HISTORICAL_FORECASTS.name,
    row_is=HISTORICAL_FORECASTS.row_is,
    key=HISTORICAL_FORECASTS.key,
    columns=tuple(column for column in HISTORICAL_FORECASTS.columns if column.name not in SINCE),
    newest_by="decision_time",
)


def row(**changes: object) -> pl.DataFrame:
    hour = datetime(2024, 5, 3, 7, tzinfo=UTC)
    values = {
        "symbol": "ETHUSDT",
        "algorithm": "lightgbm",
        "horizon_hours": 5,
        "decision_time": hour,
        "available_at": hour,
        "cutoff": datetime(2024, 5, 1, tzinfo=UTC),
        "probability": 0.6,
        "raw_probability": 0.6,
        "position": 1,
        "long_threshold": 0.55,
        "short_threshold": 0.45,
        "quantiles": '{"0.1": -0.01, "0.9": 0.02}',
        "regime": None,
        "input_coverage": 1.0,
        "out_of_bounds_share": 0.0,
        "provenance": "simulated",
        **changes,
    }
    return pl.DataFrame([values], schema=HISTORICAL_FORECASTS.schema)


def test_forecasts_of_before_there_were_quantiles_keep_their_rows_and_get_empty_columns(tmp_path: Path) -> None:
    """A month that was forecast by older code would otherwise make every read and every further month fail."""
    lake = Lake(str(tmp_path))
    upgrade_forecasts(lake)
    assert lake.version(HISTORICAL_FORECASTS) is None, "nothing is made of nothing"
    old = row().select(list(BEFORE.schema))
    lake.upsert(BEFORE, old)
    upgrade_forecasts(lake)
    found = lake.read(HISTORICAL_FORECASTS)
    assert found.select(list(BEFORE.schema)).equals(old)
    assert found.select(SINCE).null_count().row(0) == (1, 1, 1, 1)
    assert lake.upsert(HISTORICAL_FORECASTS, row(horizon_hours=12)).inserted == 1


def test_forecasts_of_today_are_left_alone(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    lake.upsert(HISTORICAL_FORECASTS, row())
    version = lake.version(HISTORICAL_FORECASTS)
    upgrade_forecasts(lake)
    assert lake.version(HISTORICAL_FORECASTS) == version
    assert lake.read(HISTORICAL_FORECASTS)["quantiles"].null_count() == 0
