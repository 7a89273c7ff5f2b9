"""A rebuilt span is the hours themselves: one record each, byte by byte the record that the hour alone makes."""

import json
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from eth_pipeline.contracts.model_tables import HISTORICAL_FORECASTS
from eth_pipeline.contracts.quality import GAP_LEDGER, data_gaps
from eth_pipeline.contracts.signal import Action, ReasonCode, SignalRecord, SignalState
from eth_pipeline.lake import Lake
from eth_pipeline.settings import SignalSettings
from eth_pipeline.signals.forecasting.forecast import Forecast, ModelInfo
from eth_pipeline.signals.gating.gate import MlAvailability, evaluate_gate
from eth_pipeline.signals.gating.states import PastHour
from eth_pipeline.signals.historical_inputs import ledger_gaps, vintage_forecasts
from eth_pipeline.signals.history import HistoricalInputs, assumed_fresh, decide_history, hours_between
from eth_pipeline.signals.hourly import decide_hour
from eth_pipeline.signals.sizing.funding import funding_outlooks
from eth_pipeline.signals.technical.consensus import build_consensus, replay, timeframe_bars
from eth_pipeline.signals.technical.consensus_history import consensus_history
from eth_pipeline.signals.technical.strategy import score_timeframe
from eth_pipeline_tests.decision_samples import HOUR, NOON, ORIGIN, bars, funding, sample_settings, walk

SETTINGS = sample_settings()
DAYS = 92
FIRST = NOON.replace(hour=0) - timedelta(days=DAYS)
KLINES = bars(walk(DAYS * 24, seed=12), first=FIRST)
HOURS = hours_between(FIRST + timedelta(days=82), FIRST + timedelta(days=DAYS))
RATES = funding({FIRST + 8 * n * HOUR: 0.0001 * (n % 5 - 1) for n in range(DAYS * 3)})
NO_ROW = HOURS[40:43]
EXTREME, NO_FORECAST = HOURS[59], HOURS[60]
STRANGE = HOURS[100]
BY_CONVICTION = HOURS[190:]
"""The last hours are forecast by a vintage of the kind that has no quantiles."""
SAMPLED = sorted({*range(0, 240, 5), *range(38, 46), *range(58, 64), 120, 150, 151, 152, *range(190, 200)})
VOLATILITY = {time: 0.006 + 0.001 * (n % 5) for n, time in enumerate(HOURS)}
ORIGINS: dict[str, Any] = {**ORIGIN, "table_versions": {"klines": 3}}


def forecast_rows() -> pl.DataFrame:
    """Forecasts of two vintages for two horizons of every hour, one of them extreme."""
    random = np.random.default_rng(5)
    rows = []
    for time in HOURS:
        late = time >= HOURS[120]
        for horizon in (5, 12):
            probability = 0.99 if time == EXTREME else float(np.clip(random.normal(0.5, 0.12), 0.03, 0.97))
            levels = {level: 0.012 * np.sqrt(horizon / 5) * z for level, z in ((0.05, -1.6), (0.5, 0.1), (0.95, 1.7))}
            rows.append(
                {
                    "symbol": "ETHUSDT",
                    "algorithm": "lightgbm",
                    "horizon_hours": horizon,
                    "decision_time": time,
                    "available_at": time,
                    "cutoff": HOURS[120] if late else HOURS[0],
                    "probability": probability,
                    "raw_probability": probability,
                    "position": 0,
                    "long_threshold": 0.6 if late else 0.55,
                    "short_threshold": -0.01 if late else 0.45,
                    "provenance": "simulated",
                    "quantiles": None if time in BY_CONVICTION else json.dumps(levels),
                    "regime": json.dumps({"calm": 0.2, "normal": 0.1, "stressed": 0.7}) if late else None,
                    "input_coverage": 0.9,
                    "out_of_bounds_share": 0.6 if time == STRANGE else 0.01,
                }
            )
    return pl.DataFrame(rows, schema=HISTORICAL_FORECASTS.schema).filter(pl.col("decision_time") != NO_FORECAST)


def ledger(times: tuple[datetime, ...] = (HOURS[150],)) -> pl.DataFrame:
    """Missing klines at `times`, and an entry that is repaired."""
    rows = [
        {
            "stream": "klines",
            "symbol": "ETHUSDT",
            "interval": "1h",
            "time": time,
            "cause": "missing",
            "status": status,
            "detail": "gone",
            "first_seen": time,
            "last_seen": time,
            "provenance": "simulated",
        }
        for time, status in [*((time, "open") for time in times), (HOURS[10], "repaired")]
    ]
    return pl.DataFrame([{name: row.get(name) for name in GAP_LEDGER.schema} for row in rows], schema=GAP_LEDGER.schema)


def inputs() -> HistoricalInputs:
    coverage = {time: 0.75 if n % 37 == 0 else 0.95 for n, time in enumerate(HOURS) if time not in NO_ROW}
    return HistoricalInputs(
        consensus=consensus_history(
            KLINES, symbol="ETHUSDT", base_interval="1h", decision_times=HOURS, settings=SETTINGS.signals
        ),
        forecasts=vintage_forecasts(
            forecast_rows(), coverage=coverage, settings=SETTINGS, code_commit="c0ffee", provenance="simulated"
        ),
        coverage=coverage,
        mark_prices={time: 2000.0 + n for n, time in enumerate(HOURS)},
        funding=funding_outlooks(RATES, HOURS),
        gaps=ledger_gaps(ledger(), symbol="ETHUSDT", decision_times=HOURS, window_hours=24),
        volatility=VOLATILITY,
    )


INPUTS = inputs()


def _decide(**changes: Any) -> list[SignalRecord]:
    values: dict[str, Any] = {"settings": SETTINGS, "decision_times": HOURS, **ORIGINS}
    return list(decide_history(INPUTS, **{**values, **changes}))


RECORDS = _decide()


def _alone(time: datetime, *, lake: Lake, past: list[PastHour]) -> SignalRecord:
    """The hour from its own rows: bars up to it, its forecast, the ledger, its funding; nothing computed at once."""
    frames = timeframe_bars(KLINES, symbol="ETHUSDT", base_interval="1h", decision_time=time)
    scores = (score_timeframe(frame, timeframe=name) for name, frame in frames.items())
    snapshot = build_consensus(tuple(score for score in scores if score), settings=SETTINGS.signals)
    model, forecast = _forecast_of(time)
    ml = MlAvailability(True, None, f"version {model.version} answered") if model else _NO_MODEL
    verdict = evaluate_gate(
        freshness=assumed_fresh(SETTINGS, decision_time=time),
        exchange_reachable=True,
        features_present=time in INPUTS.coverage,
        feature_coverage=INPUTS.coverage.get(time),
        consensus_coverage=snapshot.coverage,
        ml=ml,
        settings=SETTINGS,
        phase="paper",
        kill_switch=None,
        gaps=data_gaps(lake, symbol="ETHUSDT", decision_time=time, window_hours=24),
    )
    return decide_hour(
        settings=SETTINGS,
        decision_time=time,
        emitted_at=time,
        verdict=verdict,
        freshness=assumed_fresh(SETTINGS, decision_time=time),
        snapshot=snapshot,
        ml=ml,
        forecast=forecast,
        model=model,
        mark_price=INPUTS.mark_prices[time],
        funding=funding_outlooks(RATES.filter(pl.col("available_at") <= time), [time])[time],
        past=past,
        volatility_per_hour=VOLATILITY[time],
        **ORIGINS,
    )


_NO_MODEL = MlAvailability(False, ReasonCode.BUNDLE_ABSENT, "no model of its time forecast this hour")


def _forecast_of(time: datetime) -> tuple[ModelInfo, Forecast] | tuple[None, None]:
    known = {time: INPUTS.coverage[time]} if time in INPUTS.coverage else {}
    rows = forecast_rows().filter(pl.col("decision_time") == time)
    made = vintage_forecasts(rows, coverage=known, settings=SETTINGS, code_commit="c0ffee", provenance="simulated")
    return made.get(time, (None, None))


def test_sampled_hours_are_byte_by_byte_what_the_hour_alone_makes(tmp_path_factory: pytest.TempPathFactory) -> None:
    lake = Lake(str(tmp_path_factory.mktemp("ledger")))
    lake.upsert(GAP_LEDGER, ledger())
    assert len(SAMPLED) >= 48
    for n in SAMPLED:
        past = [PastHour.of(record) for record in RECORDS[max(0, n - 30) : n]]
        ours, theirs = RECORDS[n].flat(), _alone(HOURS[n], lake=lake, past=past).flat()
        assert json.dumps(ours) == json.dumps(theirs), HOURS[n]


def test_the_span_has_what_makes_a_comparison_worth_while() -> None:
    assert {record.state for record in RECORDS} == set(SignalState)
    assert {record.action for record in RECORDS} == set(Action)
    assert {record.decided_by for record in RECORDS} == {"base", "forecast"}
    codes = {reason.code for record in RECORDS for reason in record.reasons}
    assert codes >= {
        ReasonCode.FEATURES_MISSING,
        ReasonCode.COVERAGE_LOW,
        ReasonCode.DATA_GAP,
        ReasonCode.ML_UNAVAILABLE,
        ReasonCode.BUNDLE_ABSENT,
        ReasonCode.RECOVERING,
    }
    sampled = [RECORDS[n] for n in SAMPLED if RECORDS[n].action is not Action.HOLD]
    by_quantiles = [record for record in sampled if record.kelly_share is not None]
    assert len(by_quantiles) >= 5, "sizes from quantiles are among the compared hours"
    assert {clip for record in by_quantiles for clip in record.size_limited_by} >= {"kelly_fraction", "single_cap"}
    assert {record.kelly_share for record in sampled if record.decision_time in BY_CONVICTION} == {None}


def test_a_vintage_without_quantiles_sizes_by_conviction_and_the_record_says_so() -> None:
    """Its hours were once sized by conviction where the lived ones were sized by quantiles, and nothing told them."""
    without = forecast_rows().with_columns(quantiles=pl.lit(None, pl.String))
    old = vintage_forecasts(
        without, coverage=INPUTS.coverage, settings=SETTINGS, code_commit="c0ffee", provenance="simulated"
    )
    silent = HistoricalInputs(**{**vars(INPUTS), "forecasts": old})
    records = list(decide_history(silent, settings=SETTINGS, decision_times=HOURS, **ORIGINS))
    acting = [record for record in records if record.decided_by == "forecast" and record.action is not Action.HOLD]
    assert acting
    assert {(record.kelly_share, bool(record.ml.ml_expected)) for record in acting} == {(None, False)}
    shares = {record.decision_time: record.position_share for record in RECORDS}
    assert any(record.position_share != shares[record.decision_time] for record in acting)


def test_the_guards_see_of_a_vintage_what_they_see_of_a_bundle() -> None:
    """Inputs beyond what was learnt from, and the state of the market, are part of what a past hour knew."""
    strange = next(record for record in RECORDS if record.decision_time == STRANGE)
    assert ReasonCode.ML_UNAVAILABLE in {reason.code for reason in strange.reasons}
    assert "beyond the range" in next(r.detail for r in strange.reasons if r.code is ReasonCode.ML_UNAVAILABLE)
    late = next(record for record in RECORDS[130:] if record.decision_time in INPUTS.forecasts)
    assert late.ml.ml_regime == {"calm": 0.2, "normal": 0.1, "stressed": 0.7}
    assert late.ml.ml_feature_coverage == 0.9


def test_every_hour_has_exactly_one_record_and_a_rebuild_repeats_it() -> None:
    assert [record.decision_time for record in RECORDS] == list(HOURS)
    assert _decide() == RECORDS
    live = _decide(settings=sample_settings(phase="live"))
    assert {record.phase for record in live} == {"live"}
    assert all(record.state is not SignalState.DEGRADED for record in live)


def test_a_span_that_is_rebuilt_in_two_parts_is_the_same() -> None:
    first = _decide(decision_times=HOURS[:61])
    second = _decide(decision_times=HOURS[61:], past=[PastHour.of(record) for record in first])
    assert [*first, *second] == RECORDS
    forgetful = _decide(decision_times=HOURS[61:])
    assert forgetful != second, "what was recorded before the span counts"


def test_a_snapshot_of_the_record_replays_to_its_consensus() -> None:
    for record in RECORDS[::7]:
        snapshot = record.consensus_snapshot
        assert replay(snapshot) == snapshot
        assert (record.consensus_strength, record.consensus_direction) == (snapshot.strength, snapshot.direction)


def test_the_account_between_two_hours_is_asked_for_what_it_holds() -> None:
    held: dict[datetime, float] = {}
    asked: list[datetime] = []

    def share(time: datetime) -> float | None:
        asked.append(time)
        return held.get(time - HOUR)

    records = []
    for record in decide_history(INPUTS, settings=SETTINGS, decision_times=HOURS[:48], held_share=share, **ORIGINS):
        assert asked[-1] == record.decision_time, "an hour is not decided before the one before it was taken"
        side = {Action.LONG: 1, Action.SHORT: -1, Action.HOLD: 0}[record.action]
        held[record.decision_time] = side * record.position_share
        records.append(record)
    assert any(record.held_share for record in records)
    assert [r.held_share for r in records[1:]] == [held[r.decision_time - HOUR] for r in records[1:]]


def test_vintages_act_by_their_own_thresholds() -> None:
    early, late = (INPUTS.forecasts[HOURS[n]][0] for n in (0, 121))
    assert (early.version, late.version) == (f"vintage {HOURS[0]:%Y-%m}", f"vintage {HOURS[120]:%Y-%m}")
    assert [model.long_threshold for model in late.contract.primary_models] == [0.6, 0.6]
    by_forecast = [record for record in RECORDS[120:] if record.decided_by == "forecast"]
    assert Action.SHORT not in {record.action for record in by_forecast}, "that vintage never sells"
    assert NO_FORECAST not in INPUTS.forecasts


def test_an_hour_that_lacks_a_horizon_has_no_forecast() -> None:
    rows = forecast_rows().filter(~((pl.col("decision_time") == HOURS[3]) & (pl.col("horizon_hours") == 12)))
    found = vintage_forecasts(
        rows, coverage=INPUTS.coverage, settings=SETTINGS, code_commit="c0ffee", provenance="simulated"
    )
    assert HOURS[3] not in found
    assert HOURS[4] in found
    two = pl.concat([rows, rows.with_columns(algorithm=pl.lit("lstm"))])
    with pytest.raises(ValueError, match="mixed"):
        vintage_forecasts(two, coverage={}, settings=SETTINGS, code_commit="c0ffee", provenance="simulated")


def test_doubts_of_the_ledger_last_for_their_window() -> None:
    assert set(INPUTS.gaps) == set(HOURS[151:175])
    assert ledger_gaps(ledger(()), symbol="ETHUSDT", decision_times=HOURS, window_hours=24) == {}


def test_hours_must_ascend() -> None:
    with pytest.raises(ValueError, match="ascend"):
        _decide(decision_times=HOURS[1::-1])


def test_in_shadow_mode_a_rebuilt_span_is_the_one_without_forecasts() -> None:
    shadow = sample_settings(signals=SignalSettings(shadow_mode=True))
    without = HistoricalInputs(**{**vars(INPUTS), "forecasts": {}})
    silent = list(decide_history(without, settings=shadow, decision_times=HOURS, **ORIGINS))
    ignored = {"ml", "model_version"}
    for ours, theirs in zip(_decide(settings=shadow), silent, strict=True):
        assert ours.model_dump(exclude=ignored) == theirs.model_dump(exclude=ignored)


def test_freshness_that_was_measured_counts_and_without_it_everything_is_taken_as_fresh() -> None:
    """An archive does not say when a row reached this host."""
    stale = tuple(
        item.model_copy(update={"lag_hours": 77.8, "fresh": item.stream != "klines"})
        for item in assumed_fresh(SETTINGS, decision_time=HOURS[1])
    )
    measured = HistoricalInputs(**{**vars(INPUTS), "freshness": {HOURS[1]: stale}})
    first, second, third = decide_history(measured, settings=SETTINGS, decision_times=HOURS[:3], **ORIGINS)
    assert first.freshness == assumed_fresh(SETTINGS, decision_time=HOURS[0])
    assert (second.state, second.freshness) == (SignalState.BLOCKED, stale)
    assert [reason.code for reason in third.reasons].count(ReasonCode.RECOVERING) == 2
