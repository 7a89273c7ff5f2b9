"""The health check: may this host go on, or start at all?

Belongs here: asking every part whether it works, with the true newest rows. Does not belong: repairing, alerting.
A check never passes because something is absent: the reviewed system's health check was green with no model.
"""

import importlib.util
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from eth_pipeline.contracts.clock import floor_hour, iso
from eth_pipeline.contracts.signal import SignalRecord
from eth_pipeline.contracts.tables import KLINES
from eth_pipeline.errors import EthPipelineError
from eth_pipeline.lake import Lake
from eth_pipeline.operations.signal_log import SignalLog
from eth_pipeline.settings import Settings
from eth_pipeline.signals.evidence import compute_forecasts, production_bundle
from eth_pipeline.signals.freshness import measure_freshness

_NEEDED = ("dagster", "polars", "deltalake", "onnxruntime", "model_signing", "lightgbm", "mlflow")
_LEAST_FREE_BYTES = 1 << 30
_LATEST_SIGNAL = timedelta(hours=2)


class _No(EthPipelineError):
    """A question was answered with no."""


@dataclass(frozen=True)
class Check:
    """One question and its answer; `required` decides whether a failure makes the host unhealthy."""

    name: str
    passed: bool
    detail: str
    required: bool = True


@dataclass(frozen=True)
class HealthReport:
    """All checks at one moment."""

    checked_at: str
    checks: tuple[Check, ...]

    @property
    def healthy(self) -> bool:
        """True when every required check passed."""
        return all(check.passed or not check.required for check in self.checks)

    def as_dict(self) -> dict[str, object]:
        """JSON types."""
        return {"healthy": self.healthy, **asdict(self)}


def examine(settings: Settings, *, now: datetime, exchange_reachable: bool, exchange: str) -> HealthReport:
    """Run every check.

    Args:
        now: exchange time where the exchange answered, else the local clock's.
        exchange: one sentence about the exchange, for people.
    """
    lake = Lake(settings.lake_location)
    hour = floor_hour(now)
    ml_required = settings.phase == "live"
    return HealthReport(
        checked_at=iso(now),
        checks=(
            _dependencies(),
            Check("exchange answers", exchange_reachable, exchange),
            _asked("lake readable", lambda: f"klines at version {_version(lake)}, {lake.provenance(KLINES)} data"),
            *_streams(lake, settings, now),
            _asked("bundle verifies", lambda: _bundle(settings, now), required=ml_required),
            _asked(
                "bundle forecasts the newest hour", lambda: _forecast(lake, settings, now, hour), required=ml_required
            ),
            _asked("newest signal recent", lambda: _recent_signal(lake, settings, now)),
            _asked("newest signal carries ml_*", lambda: _ml_fields(lake, settings), required=ml_required),
            _disk(settings),
        ),
    )


def _asked(name: str, question: Callable[[], str], *, required: bool = True) -> Check:
    try:
        return Check(name, True, question(), required)
    except Exception as error:  # whatever breaks while asking is the answer: no; damaged tables raise all kinds
        return Check(name, False, _said(error), required)


def _said(error: Exception) -> str:
    text = str(error).strip() or "no message"
    return text if isinstance(error, _No) else f"{type(error).__name__}: {text}"


def _dependencies() -> Check:
    absent = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    detail = f"not installed: {', '.join(absent)}. Run make setup." if absent else f"{len(_NEEDED)} packages found"
    return Check("dependencies", not absent, detail)


def _version(lake: Lake) -> int:
    version = lake.version(KLINES)
    if version is None:
        raise _No(f"There is no klines table in {lake.location}. Run the hourly job once.")
    return version


def _streams(lake: Lake, settings: Settings, now: datetime) -> tuple[Check, ...]:
    try:
        measured = measure_freshness(lake, settings=settings, now=now)
    except Exception as error:  # as in `_asked`
        return (Check("streams fresh", False, _said(error)),)
    return tuple(
        Check(
            f"{row.stream} {row.symbol} fresh",
            row.fresh,
            "no rows"
            if row.lag_hours is None
            else f"newest data is {row.lag_hours:.2f} h old, limit {row.max_lag_hours:.2f} h",
            required=row.stale_policy in ("block", "halt"),
        )
        for row in measured
    )


def _bundle(settings: Settings, now: datetime) -> str:
    bundle, version = production_bundle(settings, now=now)
    return f"version {version}, {bundle.fingerprint[:12]}, expires {iso(bundle.contract.expires_at)}"


def _forecast(lake: Lake, settings: Settings, now: datetime, hour: datetime) -> str:
    rows = compute_forecasts(lake, settings=settings, now=now, decision_time=hour)
    if not rows.height:
        raise _No(f"There is no feature row for {iso(hour)}. Run the hourly job.")
    return ", ".join(f"{h} h {p:.3f}" for h, p in rows.select("horizon_hours", "probability_up").rows())


def _newest_signal(lake: Lake, settings: Settings) -> SignalRecord:
    log = SignalLog(lake, folder=settings.home / "logs")
    for record in log.tail(1, symbol=settings.symbol, phase=settings.phase):
        return record
    raise _No("no signal was ever recorded. Run the hourly job.")


def _recent_signal(lake: Lake, settings: Settings, now: datetime) -> str:
    record = _newest_signal(lake, settings)
    text = f"{iso(record.decision_time)}, {record.state}"
    if now - record.decision_time >= _LATEST_SIGNAL:
        raise _No(text)
    return text


def _ml_fields(lake: Lake, settings: Settings) -> str:
    ml = _newest_signal(lake, settings).ml
    if not ml.ml_available:
        raise _No(ml.ml_reason)
    return ml.ml_reason


def _disk(settings: Settings) -> Check:
    folder = settings.home if settings.home.exists() else settings.home.parent
    free = shutil.disk_usage(folder if folder.exists() else "/").free
    return Check("disk", free > _LEAST_FREE_BYTES, f"{free / 1e9:.1f} GB free, at least 1.1 GB needed")
