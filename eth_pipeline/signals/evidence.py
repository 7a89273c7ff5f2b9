"""Everything one hour is judged on, read from the lake and the verified local bundle at the point of use.

Belongs here: reading stored rows into `Evidence`, and computing the rows that the assets `consensus` and
`forecast` store. Does not belong: the rules that judge it (`signals.gating.gate`, `signals.gating.policy`, `decision`).

Whatever started the run, the evidence is read again from the data and measured against exchange time: an old
verdict, an old forecast or a forecast of another bundle never counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from eth_pipeline.contracts.clock import HOUR, iso
from eth_pipeline.contracts.decision_tables import CONSENSUS, FORECASTS
from eth_pipeline.contracts.quality import data_gaps
from eth_pipeline.contracts.signal import Action, ConsensusSnapshot, Reason, ReasonCode, StreamFreshness
from eth_pipeline.contracts.table import at
from eth_pipeline.contracts.tables import FUNDING_RATES, KLINES, MARK_KLINES
from eth_pipeline.contracts.wording.details import NO_FORECAST
from eth_pipeline.contracts.wording.forecasts import ANSWERED
from eth_pipeline.errors import BundleAbsent, BundleExpired, BundleRefused
from eth_pipeline.features.catalogue import features_contract
from eth_pipeline.lake import Lake
from eth_pipeline.registry.promotions.production import pointer
from eth_pipeline.settings import Settings
from eth_pipeline.signals.forecasting.bundle_in_use import production_bundle
from eth_pipeline.signals.forecasting.forecast import BundleForecaster, Forecast, ModelInfo
from eth_pipeline.signals.forecasting.forecast_rows import forecast_rows, stored_forecast
from eth_pipeline.signals.forecasting.inference import infer
from eth_pipeline.signals.gating import kill_switch
from eth_pipeline.signals.gating.freshness import measure_freshness
from eth_pipeline.signals.gating.gate import MlAvailability, evaluate_gate
from eth_pipeline.signals.gating.policy import GateVerdict
from eth_pipeline.signals.sizing.funding import FundingOutlook, funding_outlooks
from eth_pipeline.signals.technical.consensus import HISTORY_NEEDED, WEIGHTS, build_consensus, timeframe_bars
from eth_pipeline.signals.technical.strategy import score_timeframe

VOLATILITY = "realised_vol_24h"
"""The feature that positions are sized by: deviation of one-hour log returns over the last day."""
_FUNDING_SEEN = timedelta(days=3)


@dataclass(frozen=True)
class Evidence:
    """What was known of one hour when it was judged, and the verdict."""

    decision_time: datetime
    freshness: tuple[StreamFreshness, ...]
    snapshot: ConsensusSnapshot
    forecast: Forecast | None
    model: ModelInfo | None
    ml: MlAvailability
    mark_price: float | None
    provenance: str
    verdict: GateVerdict
    volatility_per_hour: float | None = None
    funding: FundingOutlook | None = None


def load_evidence(
    lake: Lake,
    *,
    settings: Settings,
    now: datetime,
    decision_time: datetime,
    exchange_reachable: bool,
    archive_only: bool = False,
    further: Sequence[Reason] = (),
) -> Evidence:
    """Read, measure and judge.

    Args:
        now: exchange time; freshness and expiry are measured against it.
        decision_time: the full hour to judge, at most `now`.
        exchange_reachable: False where `now` is only an estimate from the local clock.
        archive_only: REST refuses this address.
        further: reasons found elsewhere, such as the account's risk limits.
    """
    freshness = measure_freshness(lake, settings=settings, now=now)
    snapshot = _stored_consensus(lake, settings, decision_time)
    row = feature_rows(lake, settings, decision_time, hours=1)
    coverage = float(row["coverage"][0]) if row.height else None
    model, forecast, ml = _stored_forecast(lake, settings, now=now, decision_time=decision_time)
    verdict = evaluate_gate(
        freshness=freshness,
        exchange_reachable=exchange_reachable,
        features_present=coverage is not None,
        feature_coverage=coverage,
        consensus_coverage=snapshot.coverage,
        ml=ml,
        settings=settings,
        phase=settings.phase,
        kill_switch=kill_switch.why(settings.home),
        archive_only=archive_only,
        gaps=data_gaps(
            lake,
            symbol=settings.symbol,
            decision_time=decision_time,
            window_hours=settings.freshness.gap_window_hours,
        ),
        further=(*further, *_registry_doubt(settings)),
    )
    price, provenance = _mark_price(lake, settings, decision_time)
    return Evidence(
        decision_time=decision_time,
        freshness=freshness,
        snapshot=snapshot,
        forecast=forecast,
        model=model,
        ml=ml,
        mark_price=price,
        provenance=provenance,
        verdict=verdict,
        volatility_per_hour=row[VOLATILITY][0] if row.height else None,
        funding=_funding(lake, settings, decision_time),
    )


def compute_consensus(
    lake: Lake, *, settings: Settings, decision_time: datetime
) -> tuple[ConsensusSnapshot, pl.DataFrame]:
    """Score the timeframes closed at `decision_time`; the snapshot and its row of `CONSENSUS`.

    The frame is empty where no timeframe has enough closed bars.
    """
    klines = lake.read(
        KLINES,
        where=(pl.col("symbol") == settings.symbol) & (pl.col("open_time") >= at(decision_time - HISTORY_NEEDED)),
    )
    frames = timeframe_bars(
        klines, symbol=settings.symbol, base_interval=settings.base_interval, decision_time=decision_time
    )
    scores = [score_timeframe(bars, timeframe=timeframe) for timeframe, bars in frames.items()]
    snapshot = build_consensus(tuple(score for score in scores if score is not None), settings=settings.signals)
    if not snapshot.scores:
        return snapshot, CONSENSUS.empty()
    row = {
        "symbol": settings.symbol,
        "decision_time": decision_time,
        "available_at": max(score.close_time for score in snapshot.scores),
        "strength": snapshot.strength,
        "direction": str(snapshot.direction),
        "coverage": snapshot.coverage,
        "snapshot": snapshot.model_dump_json(),
        "provenance": str(klines["provenance"][-1]),
    }
    return snapshot, pl.DataFrame([row], schema=CONSENSUS.schema)


def compute_forecasts(lake: Lake, *, settings: Settings, now: datetime, decision_time: datetime) -> pl.DataFrame:
    """Forecast the feature row of `decision_time` with the verified production bundle: rows of `FORECASTS`.

    The inference service runs it where `settings.inference` enables it and it answers, this host otherwise. The frame
    is empty where there is no feature row for this hour.

    Raises:
        BundleRefused: or one of its kinds; there is no bundle that may be loaded now.
    """
    bundle, version = production_bundle(settings, now=now)
    forecaster = BundleForecaster(bundle, version=version)
    rows = feature_rows(lake, settings, decision_time, hours=bundle.contract.window_hours)
    if not rows.height or rows["decision_time"][-1] != decision_time:
        return FORECASTS.empty()
    forecast = infer(forecaster, rows, settings=settings, now=now)
    return forecast_rows(forecast, forecaster.info, row=rows.tail(1))


def _stored_forecast(
    lake: Lake, settings: Settings, *, now: datetime, decision_time: datetime
) -> tuple[ModelInfo | None, Forecast | None, MlAvailability]:
    try:
        bundle, version = production_bundle(settings, now=now)
    except BundleAbsent as refusal:
        return None, None, MlAvailability(False, ReasonCode.BUNDLE_ABSENT, str(refusal))
    except BundleExpired as refusal:
        return None, None, MlAvailability(False, ReasonCode.BUNDLE_EXPIRED, str(refusal))
    except BundleRefused as refusal:
        detail = f"{type(refusal).__name__}: {refusal}"
        return None, None, MlAvailability(False, ReasonCode.BUNDLE_REFUSED, detail)
    model = ModelInfo(
        version=version,
        fingerprint=bundle.fingerprint,
        contract=bundle.contract,
        stacking_enabled=bundle.decision.stacking_enabled,
    )
    rows = lake.read(FORECASTS, where=_at(settings, decision_time) & (pl.col("fingerprint") == bundle.fingerprint))
    forecast = stored_forecast(rows, contract=bundle.contract)
    if forecast is None:
        detail = NO_FORECAST(version=version, hour=iso(decision_time))
        return model, None, MlAvailability(False, ReasonCode.ML_UNAVAILABLE, detail)
    return model, forecast, MlAvailability(True, None, ANSWERED(version=version))


def _stored_consensus(lake: Lake, settings: Settings, decision_time: datetime) -> ConsensusSnapshot:
    rows = lake.read(CONSENSUS, where=_at(settings, decision_time), columns=["snapshot"])
    if rows.height:
        return ConsensusSnapshot.model_validate_json(rows["snapshot"][0])
    return ConsensusSnapshot(scores=(), weights=dict(WEIGHTS), coverage=0.0, strength=0.0, direction=Action.HOLD)


def feature_rows(lake: Lake, settings: Settings, decision_time: datetime, *, hours: int) -> pl.DataFrame:
    """Rows of the `hours` hours that end with `decision_time`, ascending."""
    table = features_contract(symbol=settings.symbol, cross_symbols=settings.cross_symbols)
    if not lake.is_current(table):
        return table.empty()
    after = at(decision_time - hours * HOUR)
    within = (pl.col("decision_time") > after) & (pl.col("decision_time") <= at(decision_time))
    return lake.read(table, where=(pl.col("symbol") == settings.symbol) & within).sort("decision_time")


def _registry_doubt(settings: Settings) -> list[Reason]:
    """The reason that the pointer carries where registry and host may differ."""
    try:
        here = pointer(settings.home)
    except BundleRefused:
        return []  # a broken pointer is a reason of its own: `bundle_refused`
    if here is None or not here.unreconciled:
        return []
    return [Reason(code=ReasonCode.REGISTRY_DOUBTED, subject="registry", detail=here.unreconciled)]


def _funding(lake: Lake, settings: Settings, decision_time: datetime) -> FundingOutlook | None:
    """What was known of funding at the hour."""
    since = at(decision_time - _FUNDING_SEEN)
    rates = lake.read(FUNDING_RATES, where=(pl.col("symbol") == settings.symbol) & (pl.col("funding_time") >= since))
    return funding_outlooks(rates, [decision_time])[decision_time]


def _mark_price(lake: Lake, settings: Settings, decision_time: datetime) -> tuple[float | None, str]:
    """Close of the mark bar that ended at the hour, and where the rows come from."""
    at_hour = (pl.col("symbol") == settings.symbol) & (pl.col("close_time") == at(decision_time))
    rows = lake.read(MARK_KLINES, where=at_hour, columns=["close", "provenance"])
    if rows.height:
        return float(rows["close"][0]), str(rows["provenance"][0])
    return None, lake.provenance(KLINES)


def _at(settings: Settings, decision_time: datetime) -> pl.Expr:
    return (pl.col("symbol") == settings.symbol) & (pl.col("decision_time") == at(decision_time))
