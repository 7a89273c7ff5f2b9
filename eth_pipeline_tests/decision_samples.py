"""Sample bars, lakes and records for the tests of the decision plane.

Belongs here: makers of valid input that several of these tests need. Does not belong: assertions.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from eth_pipeline.contracts.artifact import FeatureInput, HorizonModel, RuntimeContract
from eth_pipeline.contracts.signal import SignalRecord, TimeframeScore
from eth_pipeline.contracts.table import TableContract
from eth_pipeline.contracts.tables import FUNDING_RATES, KLINES, MARK_KLINES, OPEN_INTEREST
from eth_pipeline.settings import Settings
from eth_pipeline.signals.forecasting.forecast import Forecast, ModelInfo
from eth_pipeline.signals.gating.gate import MlAvailability
from eth_pipeline.signals.gating.policy import judge
from eth_pipeline.signals.hourly import decide_hour
from eth_pipeline.signals.technical.consensus import build_consensus

HOUR = timedelta(hours=1)
NOON = datetime(2025, 3, 3, 12, tzinfo=UTC)
INTERVALS = {"15m": timedelta(minutes=15), "1h": HOUR}
ORIGIN: dict[str, Any] = {
    "provenance": "simulated",
    "run_id": "run-1",
    "code_commit": "c0ffee",
    "config_digest": "d1gest",
}


def sample_settings(home: Path = Path("/nowhere"), **overrides: Any) -> Settings:
    """Settings with 1h bars and one cross asset."""
    return Settings(**{"home": home, "base_interval": "1h", "cross_symbols": ("BTCUSDT",), **overrides})


def bars(
    prices: Sequence[tuple[float, float, float, float]],
    *,
    first: datetime,
    table: TableContract = KLINES,
    symbol: str = "ETHUSDT",
    interval: str = "1h",
) -> pl.DataFrame:
    """Closed bars of (open, high, low, close), one after the other from `first` on."""
    length = INTERVALS[interval]
    times = [first + n * length for n in range(len(prices))]
    columns: dict[str, Any] = {
        "symbol": symbol,
        "interval": interval,
        "open_time": times,
        "close_time": [time + length for time in times],
        "available_at": [time + length for time in times],
        **dict(zip(("open", "high", "low", "close"), np.array(prices, dtype=float).reshape(-1, 4).T, strict=True)),
        "volume": [100.0 + 7 * (n % 5) for n in range(len(prices))],
        "source": "api",
        "provenance": "simulated",
    }
    frame = pl.DataFrame({name: columns[name] for name in table.schema if name in columns})
    missing = [pl.lit(None).alias(name) for name in table.schema if name not in columns]
    return table.conform(frame.with_columns(missing).select(list(table.schema)).cast(dict(table.schema)))


def mark_bars(prices: Sequence[tuple[float, float, float, float]], *, first: datetime, **kind: Any) -> pl.DataFrame:
    """As `bars`, of the mark price."""
    return bars(prices, first=first, table=MARK_KLINES, **kind)


def walk(count: int, *, seed: int = 1, drift: float = 0.0) -> list[tuple[float, float, float, float]]:
    """A random walk of `count` valid bars around 2,000 USDT."""
    random = np.random.default_rng(seed)
    closes = 2000 * np.exp(np.cumsum(random.normal(drift, 0.004, count)))
    opens = np.concatenate([[2000.0], closes[:-1]])
    highs = np.maximum(opens, closes) * (1 + random.exponential(0.001, count))
    lows = np.minimum(opens, closes) * (1 - random.exponential(0.001, count))
    return list(zip(opens, highs, lows, closes, strict=True))


def funding(rates: dict[datetime, float], *, symbol: str = "ETHUSDT", late: timedelta = timedelta()) -> pl.DataFrame:
    """Settlements, known `late` after their instant."""
    return pl.DataFrame(
        {
            "symbol": symbol,
            "funding_time": list(rates),
            "funding_rate": list(rates.values()),
            "interval_hours": 8,
            "available_at": [time + late for time in rates],
            "source": "api",
            "provenance": "simulated",
        },
        schema_overrides=dict(FUNDING_RATES.schema),
    ).select(list(FUNDING_RATES.schema))


def open_interest(period_end: datetime) -> pl.DataFrame:
    """One snapshot."""
    return pl.DataFrame(
        {
            "symbol": "ETHUSDT",
            "period_end": [period_end],
            "open_interest": 1e6,
            "open_interest_value": 2e9,
            "available_at": [period_end],
            "source": "api",
            "provenance": "simulated",
        },
        schema_overrides=dict(OPEN_INTEREST.schema),
    ).select(list(OPEN_INTEREST.schema))


def score(timeframe: str, net: float) -> TimeframeScore:
    """A timeframe whose buy minus sell score is `net`."""
    return TimeframeScore(
        timeframe=timeframe, close_time=NOON, buy_score=max(net, 0), sell_score=max(-net, 0), components={"x": net}
    )


def runtime_contract(**changes: Any) -> RuntimeContract:
    """A contract of three inputs and three horizons."""
    thresholds: dict[str, Any] = {"long_threshold": 0.55, "short_threshold": 0.45}
    values: dict[str, Any] = {
        "symbol": "ETHUSDT",
        "base_interval": "1h",
        "created_at": NOON - timedelta(days=1),
        "expires_at": NOON + timedelta(days=1),
        "trained_until": NOON - timedelta(days=2),
        "provenance": "simulated",
        "code_commit": "c0ffee",
        "lock_digest": "l0ck",
        "feature_schema": "schema",
        "inputs": tuple(FeatureInput(name=name, lower=-3.0, upper=3.0) for name in ("a", "b", "c")),
        "models": tuple(
            HorizonModel(
                horizon_hours=hours,
                file=f"lightgbm_{hours}h.onnx",
                algorithm="lightgbm",
                input_name="features",
                output_name="probability",
                **thresholds,
            )
            for hours in (5, 12, 24)
        ),
        "opset": 17,
    }
    return RuntimeContract(**{**values, **changes})


MODEL = ModelInfo(version="7", fingerprint="f1nger", contract=runtime_contract())
NO_MODEL = MlAvailability(False, None, "not asked")


def forecast(p5: float, p12: float, p24: float, *, out_of_bounds_share: float = 0.0) -> Forecast:
    """An answer for all three horizons."""
    probabilities = {5: p5, 12: p12, 24: p24}
    members = {"lightgbm": probabilities}
    return Forecast(probabilities, probabilities, 1.0, out_of_bounds_share, 0.001, members=members)


def signal(settings: Settings, decision_time: datetime = NOON, *, net: float = 60.0, **changes: Any) -> SignalRecord:
    """A record whose consensus is `net` on all timeframes; tradeable unless a `verdict` says otherwise."""
    snapshot = build_consensus(tuple(score(t, net) for t in ("1h", "4h", "8h", "24h")), settings=settings.signals)
    values: dict[str, Any] = {
        "settings": settings,
        "decision_time": decision_time,
        "emitted_at": decision_time,
        "verdict": judge((), phase=settings.phase),
        "freshness": (),
        "snapshot": snapshot,
        "ml": NO_MODEL,
        "forecast": None,
        "model": None,
        "mark_price": 2000.0,
        "table_versions": {"klines": 3},
        **ORIGIN,
    }
    return decide_hour(**{**values, **changes})
