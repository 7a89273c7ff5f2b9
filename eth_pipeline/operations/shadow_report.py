"""What the models said over the last days and what became of it: coverage, agreement, calibration, outcome.

Belongs here: the figures of a window. Does not belong: reading it (`shadow_window`), words (`shadow_text`), plots
(`shadow_plots`), deciding anything by them.

Labels of neighbouring hours overlap, so a week holds far fewer independent outcomes than hours; the report says how
many.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl

from eth_pipeline.contracts.clock import HOUR, iso
from eth_pipeline.models.dataset import Floats
from eth_pipeline.models.figures.metrics import BPS, auc, calibration_error, equal_count_bins, log_loss, simple_return
from eth_pipeline.operations.shadow_window import Window
from eth_pipeline.settings import Settings

_BINS = 5


@dataclass(frozen=True)
class Bin:
    """One fifth of an algorithm's forecasts: what it said and how often it was up."""

    rows: int
    mean_probability: float
    up_share: float


@dataclass(frozen=True)
class Judged:
    """One algorithm at one horizon; figures of outcomes are null where none is finished.

    Attributes:
        role: `production` or `shadow`.
        algorithm: who forecast.
        horizon_hours: how far.
        acting_hours: hours in which this forecast decided.
        hours: forecasts in the window.
        finished: of them with an outcome.
        independent: outcomes that do not overlap, at most.
        mean_probability: of up, over the finished ones.
        up_share: how often it was up.
        auc: ranking; 0.5 is chance.
        log_loss: in nats; a coin has 0.6931.
        calibration_error: over five bins of equal count.
        side_return_bps: mean simple return of the side it leant to, before costs.
        bins: for the calibration curve.
    """

    role: str
    algorithm: str
    horizon_hours: int
    acting_hours: int
    hours: int
    finished: int
    independent: int
    mean_probability: float | None
    up_share: float | None
    auc: float | None
    log_loss: float | None
    calibration_error: float | None
    side_return_bps: float | None
    bins: tuple[Bin, ...]


@dataclass(frozen=True)
class Agreement:
    """Two algorithms over the hours in which both forecast: same side of one half, and correlation."""

    horizon_hours: int
    one: str
    other: str
    hours: int
    same_side_share: float
    correlation: float | None


@dataclass(frozen=True)
class ShadowReport:
    """Figures of the window [first, end).

    Attributes:
        symbol: whose signals.
        phase: `paper` or `live`.
        first: first hour.
        end: exclusive.
        hours: of the window.
        recorded: hours with a record.
        ml_available: hours in which a verified model answered.
        states: state to hours.
        actions: action to hours.
        gating: reason code to hours, most frequent first.
        versions: model version to hours.
        judged: per algorithm and horizon.
        agreement: per pair and horizon.
    """

    symbol: str
    phase: str
    first: str
    end: str
    hours: int
    recorded: int
    ml_available: int
    states: Mapping[str, int]
    actions: Mapping[str, int]
    gating: Mapping[str, int]
    versions: Mapping[str, int]
    judged: tuple[Judged, ...]
    agreement: tuple[Agreement, ...]

    @property
    def ml_coverage(self) -> float:
        """Share of all hours of the window in which a model answered; an hour without a record counts against it."""
        return self.ml_available / self.hours

    def as_dict(self) -> dict[str, Any]:
        """JSON types."""
        return {**asdict(self), "ml_coverage": self.ml_coverage}


def make_report(window: Window, settings: Settings) -> ShadowReport:
    """Every figure of a window."""
    records = window.records
    return ShadowReport(
        symbol=settings.symbol,
        phase=settings.phase,
        first=iso(window.first),
        end=iso(window.end),
        hours=int((window.end - window.first) / HOUR),
        recorded=len(records),
        ml_available=sum(record.ml.ml_available for record in records),
        states=_counted(str(record.state) for record in records),
        actions=_counted(str(record.action) for record in records),
        gating=_counted(code for record in records for code in {str(reason.code) for reason in record.reasons}),
        versions=_counted(record.model_version or "none" for record in records),
        judged=tuple(_judged(rows) for rows in _groups(window.forecasts)),
        agreement=tuple(_agreements(window.forecasts)),
    )


def _groups(forecasts: pl.DataFrame) -> list[pl.DataFrame]:
    keys = ["role", "algorithm", "horizon_hours"]
    return forecasts.sort([*keys, "decision_time"]).partition_by(keys, maintain_order=True)


def _judged(rows: pl.DataFrame) -> Judged:
    horizon = int(rows["horizon_hours"][0])
    finished = rows.filter(pl.col("up").is_not_null())
    probability, up = finished["probability_up"].to_numpy(), finished["up"].to_numpy().astype(np.float64)
    some = bool(finished.height)
    side = np.sign(probability - 0.5) * simple_return(finished["outcome"].to_numpy()) * BPS
    ranked = auc(probability, up) if some else float("nan")
    return Judged(
        role=rows["role"][0],
        algorithm=rows["algorithm"][0],
        horizon_hours=horizon,
        acting_hours=int(rows["acting"].sum()),
        hours=rows.height,
        finished=finished.height,
        independent=finished.height // horizon,
        mean_probability=float(probability.mean()) if some else None,
        up_share=float(up.mean()) if some else None,
        auc=ranked if np.isfinite(ranked) else None,
        log_loss=log_loss(probability, up) if some else None,
        calibration_error=calibration_error(probability, up, bins=_BINS) if some else None,
        side_return_bps=float(side.mean()) if some else None,
        bins=_bins(finished) if some else (),
    )


def _bins(finished: pl.DataFrame) -> tuple[Bin, ...]:
    number = equal_count_bins(finished["probability_up"].to_numpy(), bins=_BINS)
    parts = finished.with_columns(pl.Series("bin", number)).partition_by("bin", maintain_order=True)
    found = [(p["probability_up"].to_numpy(), p["up"].to_numpy()) for p in parts]
    made = [Bin(len(said), float(said.mean()), float(came.mean())) for said, came in found]
    return tuple(sorted(made, key=lambda part: part.mean_probability))


def _agreements(forecasts: pl.DataFrame) -> list[Agreement]:
    """Every pair of algorithms at every horizon, production's and shadow's of one name told apart."""
    named = forecasts.with_columns(
        pl.when(pl.col("role") == "shadow")
        .then(pl.col("algorithm") + " (shadow)")
        .otherwise(pl.col("algorithm"))
        .alias("who")
    )
    found = []
    for horizon in named["horizon_hours"].unique().sort():
        wide = named.filter(pl.col("horizon_hours") == horizon).pivot(
            on="who", index="decision_time", values="probability_up", aggregate_function="first"
        )
        for one, other in combinations(sorted(set(wide.columns) - {"decision_time"}), 2):
            both = wide.select(one, other).drop_nulls()
            if both.height:
                found.append(_agreement(both[one].to_numpy(), both[other].to_numpy(), int(horizon), one, other))
    return found


def _agreement(left: Floats, right: Floats, horizon: int, one: str, other: str) -> Agreement:
    same = float(np.mean((left > 0.5) == (right > 0.5)))
    varies = len(left) > 1 and left.std() > 0 and right.std() > 0
    correlation = float(np.corrcoef(left, right)[0, 1]) if varies else None
    return Agreement(horizon, one, other, len(left), same, correlation)


def _counted(names: Iterable[str]) -> dict[str, int]:
    return dict(Counter(names).most_common())
