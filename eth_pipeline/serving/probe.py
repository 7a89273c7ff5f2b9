"""The proof that a service can forecast: stored rows, the answer this host's CPU gave for them, the difference now.

Belongs here: choosing the rows, comparing two forecasts. Does not belong: when it is asked (`application`).

A process that answers `200 ok` proves that a process answers. The reviewed system's health check passed with no model
at all.
"""

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from eth_pipeline.contracts.artifact import FeatureInput, RuntimeContract
from eth_pipeline.contracts.clock import HOUR, floor_hour
from eth_pipeline.contracts.table import INSTANT
from eth_pipeline.errors import BundleRefused
from eth_pipeline.features.catalogue import features_contract
from eth_pipeline.lake import Lake
from eth_pipeline.registry.bundles.verification import VerifiedBundle
from eth_pipeline.settings import Settings
from eth_pipeline.signals.evidence import feature_rows
from eth_pipeline.signals.forecasting.forecast import BundleForecaster, Forecast

TOLERANCE = 1e-5  # the parity gate's, on probabilities and log returns
_LOG = logging.getLogger("eth_pipeline.serving")


@dataclass(frozen=True)
class Probe:
    """Feature rows of one hour and what the bundle answers for them on this host's CPU.

    Attributes:
        rows: as `BundleForecaster.forecast` takes them.
        expected: the local answer.
        source: `newest feature rows` or `training bounds`.
    """

    rows: pl.DataFrame
    expected: Forecast
    source: str

    def difference(self, forecaster: BundleForecaster, *, now: datetime) -> float:
        """Largest difference between what `forecaster` answers now and what was expected.

        Raises:
            BundleRefused: or one of its kinds; it does not answer, or with other fields than expected.
        """
        answered, expected = dict(_figures(forecaster.forecast(self.rows, now=now))), dict(_figures(self.expected))
        if answered.keys() != expected.keys():
            raise BundleRefused(
                f"The probe's answer has {len(answered)} figures, {len(expected)} were expected. Restart the service."
            )
        return max(abs(answered[name] - expected[name]) for name in expected)


def make_probe(bundle: VerifiedBundle, *, settings: Settings, now: datetime) -> Probe:
    """The probe of a bundle: the newest stored feature rows, or the middle of its training bounds without a lake.

    Raises:
        BundleRefused: or one of its kinds; the bundle cannot answer even here.
    """
    contract = bundle.contract
    rows = _newest_rows(settings, hours=contract.window_hours)
    source = "training bounds" if rows is None else "newest feature rows"
    local = BundleForecaster(bundle, version=None)
    rows = middle_rows(contract, now=now) if rows is None else rows
    return Probe(rows=rows, expected=local.forecast(rows, now=now), source=source)


def middle_rows(contract: RuntimeContract, *, now: datetime) -> pl.DataFrame:
    """A whole window of rows in the middle of the training bounds, ending with the hour of `now`."""
    newest, hours = floor_hour(now), contract.window_hours
    times = [newest - (hours - 1 - place) * HOUR for place in range(hours)]
    columns = {item.name: pl.repeat(_middle(item), hours, dtype=pl.Float64, eager=True) for item in contract.inputs}
    return pl.DataFrame({"decision_time": pl.Series(times, dtype=INSTANT), **columns})


def _newest_rows(settings: Settings, *, hours: int) -> pl.DataFrame | None:
    lake = Lake.of(settings)
    table = features_contract(symbol=settings.symbol, cross_symbols=settings.cross_symbols)
    try:
        if not lake.is_current(table):
            return None
        newest = lake.newest(table, where=pl.col("symbol") == settings.symbol)
        return None if newest is None else feature_rows(lake, settings, newest, hours=hours)
    except Exception as error:  # a lake that cannot be read, for whatever reason, must not stop the service
        _LOG.warning("the lake gives no probe row: %s: %s", type(error).__name__, error)
        return None


def _middle(item: FeatureInput) -> float:
    bounds = [bound for bound in (item.lower, item.upper) if bound is not None and math.isfinite(bound)]
    return sum(bounds) / len(bounds) if bounds else 0.0


def _figures(forecast: Forecast) -> Iterator[tuple[tuple[object, ...], float]]:
    """Every figure that a forecast consists of, by its name."""
    for horizon, probability in forecast.probabilities.items():
        yield ("probability", horizon), probability
    for algorithm, answers in forecast.members.items():
        for horizon, probability in answers.items():
            yield (algorithm, horizon), probability
    for horizon, levels in forecast.quantiles.items():
        for level, value in levels.items():
            yield ("quantile", horizon, level), value
    for state, probability in forecast.regime.items():
        yield ("regime", state), probability
