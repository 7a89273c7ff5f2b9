"""Stored rows as the inputs of past hours: forecasts of vintages, doubts of the gap ledger.

Belongs here: turning whole tables into one value per hour. Does not belong: making the forecasts
(`models.vintages.vintage_forecasts`), the walk over the hours (`history`).
"""

import json
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from eth_pipeline.contracts.artifact import HorizonModel, Provenance, RuntimeContract
from eth_pipeline.contracts.model_tables import HISTORICAL_FORECASTS
from eth_pipeline.contracts.quality import DECISIVE_STREAMS, GAP_LEDGER, DataGap, data_gaps
from eth_pipeline.contracts.table import INSTANT, TableContract
from eth_pipeline.settings import Settings
from eth_pipeline.signals.forecasting.forecast import Forecast, ModelInfo


def vintage_forecasts(
    rows: pl.DataFrame,
    *,
    coverage: Mapping[datetime, float],
    settings: Settings,
    code_commit: str,
    provenance: Provenance,
) -> dict[datetime, tuple[ModelInfo, Forecast]]:
    """Forecasts by decision time, each with the vintage that made it in the shape of a bundle's model.

    A vintage is no bundle: it has no registry version and no signature. Its version reads `vintage 2024-05`, its
    fingerprint `lightgbm 2024-05`, and neither passes for a bundle's.

    Args:
        rows: rows of `HISTORICAL_FORECASTS` of one symbol and one algorithm. Where `quantiles` are null, conviction
            sizes; where `out_of_bounds_share` is null, nothing counts as out of bounds and that guard cannot fire.
        coverage: of the feature row by hour; an hour without a row has no forecast. It stands in for a null
            `input_coverage`.
        settings: symbol, base interval, and how long a vintage is valid.
        code_commit: of the code that forecast.
        provenance: of the rows.

    Raises:
        ValueError: rows of several algorithms; one of them decides.
    """
    algorithms = rows["algorithm"].unique().to_list()
    if len(algorithms) > 1:
        raise ValueError(f"Rows of {sorted(algorithms)} were mixed; filter the algorithm that decides.")
    frame = rows.select(list(HISTORICAL_FORECASTS.schema)).sort("decision_time", "horizon_hours")
    hours: dict[datetime, list[dict[str, Any]]] = {}
    for row in frame.iter_rows(named=True):
        hours.setdefault(row["decision_time"], []).append(row)
    models: dict[datetime, ModelInfo] = {}
    horizons = _horizons(frame)
    found = {}
    for time, answers in hours.items():
        cutoff = answers[0]["cutoff"]
        if len(answers) != horizons[cutoff] or time not in coverage:
            continue
        if cutoff not in models:
            models[cutoff] = _model(answers, settings, code_commit=code_commit, provenance=provenance)
        found[time] = (models[cutoff], _forecast(answers, coverage=coverage[time]))
    return found


def ledger_gaps(
    ledger: pl.DataFrame,
    *,
    symbol: str,
    decision_times: Sequence[datetime],
    window_hours: int,
) -> dict[datetime, tuple[DataGap, ...]]:
    """What the gap ledger doubts before each hour; hours without doubts are left out.

    The ledger is read as it stands today. Entries that were open then and are repaired now are repaired in the
    rebuild too, because the rebuilt features read the repaired rows.

    Args:
        ledger: rows of `GAP_LEDGER`.
        symbol: the traded symbol.
        decision_times: full hours, UTC.
        window_hours: `freshness.gap_window_hours`.
    """
    ours = ledger.filter((pl.col("symbol") == symbol) & pl.col("stream").is_in(DECISIVE_STREAMS)).sort("time")
    times = ours["time"].to_list()
    found = {}
    for time in decision_times:
        first = time - timedelta(hours=window_hours)
        begin, end = bisect_left(times, first), bisect_left(times, time)
        if begin == end:
            continue
        held = _LedgerRows(ours[begin:end])
        doubts = data_gaps(held, symbol=symbol, decision_time=time, window_hours=window_hours)
        if doubts:
            found[time] = doubts
    return found


class _LedgerRows:
    """Rows of the ledger in memory, read as the lake would read them."""

    def __init__(self, rows: pl.DataFrame) -> None:
        self._rows = rows

    def read(
        self,
        table: TableContract,
        *,
        where: pl.Expr | None = None,
        columns: list[str] | None = None,
        version: int | None = None,
    ) -> pl.DataFrame:
        """Rows of the ledger, sorted by key; other tables and versions are not here."""
        assert table is GAP_LEDGER, f"{table.name} is not in memory"
        assert version is None, "rows in memory have no versions"
        rows = self._rows if where is None else self._rows.filter(where)
        return (rows if columns is None else rows.select(columns)).sort(
            [name for name in table.key if columns is None or name in columns]
        )


def _horizons(frame: pl.DataFrame) -> dict[datetime, int]:
    """How many horizons each vintage forecasts."""
    counted = frame.group_by("cutoff").agg(pl.col("horizon_hours").n_unique())
    return dict(counted.select(pl.col("cutoff").cast(INSTANT), "horizon_hours").iter_rows())


def _model(answers: list[dict[str, Any]], settings: Settings, *, code_commit: str, provenance: Provenance) -> ModelInfo:
    algorithm, cutoff = answers[0]["algorithm"], answers[0]["cutoff"]
    contract = RuntimeContract(
        symbol=settings.symbol,
        base_interval=settings.base_interval,
        created_at=cutoff,
        expires_at=cutoff + timedelta(days=settings.gates.bundle_valid_days),
        trained_until=cutoff,
        provenance=provenance,
        code_commit=code_commit,
        lock_digest="",
        feature_schema="",
        inputs=(),
        primary_algorithm=algorithm,
        models=tuple(
            HorizonModel(
                horizon_hours=row["horizon_hours"],
                file="",
                algorithm=algorithm,
                input_name="",
                output_name="",
                long_threshold=row["long_threshold"],
                short_threshold=row["short_threshold"],
            )
            for row in answers
        ),
        opset=0,
    )
    month = f"{cutoff:%Y-%m}"
    return ModelInfo(version=f"vintage {month}", fingerprint=f"{algorithm} {month}", contract=contract)


def _forecast(answers: list[dict[str, Any]], *, coverage: float) -> Forecast:
    first = answers[0]
    probabilities = {row["horizon_hours"]: row["probability"] for row in answers}
    return Forecast(
        probabilities=probabilities,
        raw={row["horizon_hours"]: row["raw_probability"] for row in answers},
        coverage=coverage if first["input_coverage"] is None else first["input_coverage"],
        out_of_bounds_share=first["out_of_bounds_share"] or 0.0,
        seconds=0.0,
        source=first["algorithm"],
        members={first["algorithm"]: probabilities},
        quantiles={row["horizon_hours"]: _levels(row["quantiles"]) for row in answers if row["quantiles"]},
        regime=json.loads(first["regime"]) if first["regime"] else {},
    )


def _levels(text: str) -> dict[float, float]:
    return {float(level): float(value) for level, value in json.loads(text).items()}
