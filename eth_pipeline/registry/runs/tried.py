"""Every configuration that was tried on a history, with its out-of-fold results: what the next one is measured against.

Belongs here: naming a try, keeping its daily series, reading the others'. Does not belong: the statistics
(`models.figures.multiple_testing`), counting registered runs (`tries`).

A try is a choice made before its outcome was seen: algorithm, hyperparameters, inputs, training settings. Training the
same choice on newer rows looks for nothing new; its series is replaced.
"""

import hashlib
import json

import polars as pl

from eth_pipeline.contracts.model_tables import OOF_FORECASTS, TRIED_PNL
from eth_pipeline.lake import Lake
from eth_pipeline.models.figures.pnl import PNL_SCHEMA, daily_pnl
from eth_pipeline.settings import TrainingSettings


def try_id(*, parameters_digest: str, feature_names: tuple[str, ...], settings: TrainingSettings) -> str:
    """Name of a configuration: sha256 over what was chosen."""
    chosen = {"parameters": parameters_digest, "inputs": feature_names, "training": settings.model_dump(mode="json")}
    return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()


def store_tried(
    lake: Lake, oof: pl.DataFrame, *, name: str, algorithm: str, symbol: str, provenance: str, cost_bps: float
) -> int | None:
    """Keep the daily series of one try; returns the table version."""
    rows = daily_pnl(oof, round_trip_cost_bps=cost_bps).with_columns(
        pl.col("day").cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
        symbol=pl.lit(symbol),
        provenance=pl.lit(provenance),
        try_id=pl.lit(name),
        algorithm=pl.lit(algorithm),
    )
    return lake.upsert(TRIED_PNL, rows.select(list(TRIED_PNL.schema))).version


def tried_before(lake: Lake, *, symbol: str, provenance: str, without: str) -> pl.DataFrame | None:
    """Daily series of all other tries on this history: `pnl.PNL_SCHEMA` with try_id; None where there is none."""
    ours = (pl.col("symbol") == symbol) & (pl.col("provenance") == provenance) & (pl.col("try_id") != without)
    rows = lake.read(TRIED_PNL, where=ours, columns=["try_id", *PNL_SCHEMA])
    return rows.with_columns(pl.col("day").dt.date()) if rows.height else None


def champion_oof(lake: Lake, *, symbol: str, fingerprint: str | None) -> pl.DataFrame | None:
    """Out-of-fold forecasts of the bundle in production; None where there is none, or it left none."""
    if fingerprint is None:
        return None
    rows = lake.read(
        OOF_FORECASTS,
        where=(pl.col("symbol") == symbol) & (pl.col("fingerprint") == fingerprint),
        columns=["decision_time", "horizon_hours", "probability"],
    )
    return rows if rows.height else None
