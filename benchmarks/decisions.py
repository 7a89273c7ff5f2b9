"""Decision history on recordings: how fast it is rebuilt, how often the consensus is strong, and what it is worth.

    python benchmarks/decisions.py FOLDER

FOLDER holds recordings as the replay reads them. Scores, consensus and decisions of all hours of ETHUSDT, without
forecasts: the base strategy alone. The sign AUC asks whether the signed strength ranks rising before falling hours
(mark price, entered at the next bar's open); 0.5 is no skill.
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import polars as pl

from benchmarks.figure import print_figure
from benchmarks.real_history import SYMBOL, recorded_sources
from eth_pipeline.contracts.table import INSTANT
from eth_pipeline.labels.direction import build_labels
from eth_pipeline.models.figures.metrics import auc
from eth_pipeline.settings import Settings, TrainingSettings
from eth_pipeline.signals.history import HistoricalInputs, decide_history, hours_between
from eth_pipeline.signals.technical.consensus import FULL_AGREEMENT, HISTORY_NEEDED, signed_strength
from eth_pipeline.signals.technical.consensus_history import consensus_history

HOURS_PER_YEAR = 8760


def main(folder: Path) -> None:
    settings = Settings(base_interval="1h")
    sources = recorded_sources(folder)
    klines = sources.klines.filter(pl.col("symbol") == SYMBOL).sort("open_time")
    hours = hours_between(klines["close_time"][0] + HISTORY_NEEDED, klines["close_time"][-1])
    years = len(hours) / HOURS_PER_YEAR

    started = time.perf_counter()
    consensus = consensus_history(
        klines, symbol=SYMBOL, base_interval="1h", decision_times=hours, settings=settings.signals
    )
    seconds = time.perf_counter() - started
    print(f"{len(hours):,} hours, bars of 1 h and longer")
    print_figure("consensus of a year of hours", seconds / years, "s")

    started = time.perf_counter()
    inputs = HistoricalInputs(consensus, {}, dict.fromkeys(hours, 1.0), {})
    records = list(
        decide_history(
            inputs,
            settings=settings,
            decision_times=hours,
            provenance="replay",
            run_id="benchmark",
            code_commit="",
            config_digest="",
            table_versions={},
        )
    )
    print_figure("decisions of a year of hours", (time.perf_counter() - started) / years, "s")

    strength = np.array([signed_strength(snapshot) for snapshot in consensus.values()])
    print("share of hours with strength above 40, by the mean that counts as full:")
    for full in (25, 35, 50):
        print(f"  {full}: {(np.abs(strength) * FULL_AGREEMENT / full >= 40).mean():.3f}")
    print(f"actions: {dict(pl.Series([str(record.action) for record in records]).value_counts().rows())}")

    training = TrainingSettings()
    labels = build_labels(
        mark_klines=sources.mark_klines,
        klines=sources.klines,
        symbol=SYMBOL,
        base_interval="1h",
        horizons_hours=training.horizons_hours,
        round_trip_cost_bps=training.round_trip_cost_bps,
    )
    scored = pl.DataFrame({"decision_time": hours, "strength": strength}).cast({"decision_time": INSTANT})
    print("sign AUC of the base strategy, all hours and those with strength above 40:")
    for horizon in training.horizons_hours:
        rows = scored.join(labels.select("decision_time", up=f"up_{horizon}h"), on="decision_time").drop_nulls()
        strong = rows.filter(pl.col("strength").abs() >= settings.signals.min_consensus_strength)
        figures = (auc(part["strength"].to_numpy(), part["up"].to_numpy().astype(float)) for part in (rows, strong))
        print(f"  {horizon} h: " + " ".join(f"{figure:.4f}" for figure in figures))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
