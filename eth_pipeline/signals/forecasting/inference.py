"""Who forecasts the hour: the inference service where it is enabled and answers, this host otherwise.

Belongs here: the choice, and counting it. Does not belong: asking the service (`remote`), running the bundle
(`forecast`). No hour is without a forecast because a service is down: whatever goes wrong there, the verified local
bundle answers, and the row says why.
"""

import logging
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import polars as pl

from eth_pipeline.contracts.clock import HOUR, FixedClock
from eth_pipeline.contracts.decision_tables import FORECASTS
from eth_pipeline.contracts.table import at
from eth_pipeline.lake import Lake
from eth_pipeline.settings import Settings
from eth_pipeline.signals.forecasting.forecast import BundleForecaster, Forecast
from eth_pipeline.signals.forecasting.remote import RemoteForecaster

_LOG = logging.getLogger("eth_pipeline.signals")


@dataclass(frozen=True)
class InferenceCoverage:
    """Hours by who forecast them.

    Attributes:
        hours: full hours counted.
        remote: the service answered.
        fallback: it was asked in vain and this host answered.
        local: this host answered without asking.
        none: no acting forecast is stored.
    """

    hours: int
    remote: int
    fallback: int
    local: int

    @property
    def none(self) -> int:
        """Hours without any forecast."""
        return self.hours - self.remote - self.fallback - self.local

    @property
    def share(self) -> float:
        """ML coverage: share of the hours that have a forecast."""
        return 1.0 - self.none / self.hours


def infer(local: BundleForecaster, rows: pl.DataFrame, *, settings: Settings, now: datetime) -> Forecast:
    """Forecast one decision hour.

    Args:
        local: of the verified production bundle.
        rows: feature rows ending with the decision hour.
        settings: `inference` says whether the service is asked, `home` keeps the memory of it.
        now: exchange time; expiry and breaker are measured against it.

    Raises:
        BundleRefused: or one of its kinds; this host cannot forecast either.
    """
    if not settings.inference.enabled:
        return local.forecast(rows, now=now)
    try:
        with RemoteForecaster(
            settings.inference, state_path=inference_state(settings), clock=FixedClock(now)
        ) as service:
            return service.forecast(rows, info=local.info)
    except Exception as error:  # a fault of the client itself must not cost the hour either; the row names it
        reason = f"{type(error).__name__}: {error}"
    _LOG.warning("the local bundle forecasts: %s", reason)
    return replace(local.forecast(rows, now=now), fallback_reason=reason)


def inference_state(settings: Settings) -> Path:
    """The breaker of the service, shared by every process of this host."""
    return settings.home / "inference_state.sqlite"


def inference_coverage(lake: Lake, *, symbol: str, first: datetime, last: datetime) -> InferenceCoverage:
    """Count the hours from `first` to `last`, both full hours and both counted, by who forecast them.

    Raises:
        ValueError: `last` is before `first`.
    """
    if last < first:
        raise ValueError(f"there is no hour from {first} to {last}; pass the older one first.")
    within = pl.col("decision_time").is_between(at(first), at(last))
    rows = lake.read(
        FORECASTS,
        where=(pl.col("symbol") == symbol) & within & pl.col("acting"),
        columns=["decision_time", "inference", "fallback_reason"],
    ).unique("decision_time")
    remote = rows["inference"] == "remote"
    fallback = ~remote & rows["fallback_reason"].is_not_null()
    counted = {"remote": int(remote.sum()), "fallback": int(fallback.sum())}
    return InferenceCoverage(hours=int((last - first) / HOUR) + 1, local=rows.height - sum(counted.values()), **counted)
