"""The health check: may this host go on, or start at all?

Belongs here: asking every part of the signal path whether it works, with the true newest rows. Does not belong: the
parts around it (`host_health`), the sentences (`contracts.wording.health`), repairing, alerting.
A check never passes because something is absent: the reviewed system's health check was green with no model.

Two occasions. `running`: is everything as it must be for the next signal. `start`: may a service manager start the
daemon; whatever only a running daemon can cure (old rows, an old signal, an exchange that is away) is a warning then,
or a host that was down for a night would never start again.
"""

import importlib.util
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Literal

import polars as pl

from eth_pipeline.contracts.clock import floor_hour, iso
from eth_pipeline.contracts.signal import SignalRecord
from eth_pipeline.contracts.tables import KLINES
from eth_pipeline.contracts.wording import health as wording
from eth_pipeline.contracts.wording.details import NEWEST_TOO_OLD
from eth_pipeline.features.catalogue import features_contract
from eth_pipeline.lake import Lake
from eth_pipeline.operations import host_health
from eth_pipeline.operations.host_health import Check, No, asked, said
from eth_pipeline.operations.signal_log import SignalLog
from eth_pipeline.settings import Settings
from eth_pipeline.signals.evidence import compute_forecasts
from eth_pipeline.signals.forecasting.bundle_in_use import production_bundle
from eth_pipeline.signals.gating.freshness import measure_freshness

_NEEDED = ("dagster", "polars", "deltalake", "onnxruntime", "model_signing", "lightgbm", "mlflow")
_LATEST_SIGNAL = timedelta(hours=2)

Occasion = Literal["running", "start"]


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


def examine(
    settings: Settings, *, now: datetime, exchange_reachable: bool, exchange: str, occasion: Occasion = "running"
) -> HealthReport:
    """Run every check.

    Args:
        settings: of the host.
        now: exchange time where the exchange answered, else the local clock's.
        exchange_reachable: whether it answered.
        exchange: one sentence about the exchange, for people.
        occasion: `start` makes warnings of what only a running daemon can cure.
    """
    lake = Lake.of(settings)
    running, live = occasion == "running", settings.phase == "live"
    return HealthReport(
        checked_at=iso(now),
        checks=(
            _dependencies(),
            *host_health.settings_checks(settings),
            Check(wording.EXCHANGE_ANSWERS(), exchange_reachable, exchange, required=running),
            asked(wording.LAKE_READABLE(), lambda: _readable(lake, may_be_new=not running)),
            asked(
                wording.LAKE_WRITABLE(),
                lambda: host_health.lake_writable(settings, may_be_new=not running),
                required="://" not in settings.lake_location,
            ),
            *_streams(lake, settings, now, binding=running),
            asked(wording.BUNDLE_VERIFIES(), lambda: _bundle(settings, now), required=live),
            asked(
                wording.BUNDLE_FORECASTS(),
                lambda: _forecast(lake, settings, now, _hour_to_forecast(lake, settings, now, running=running)),
                required=live,
            ),
            asked(wording.SIGNAL_RECENT(), lambda: _recent_signal(lake, settings, now), required=running),
            asked(wording.SIGNAL_CARRIES_ML(), lambda: _ml_fields(lake, settings), required=live and running),
            asked(wording.REGISTRY_ANSWERS(), lambda: host_health.registry_answers(settings), required=False),
            asked(wording.ALIAS_AGREES(), lambda: host_health.alias_agrees(settings), required=False),
            asked(wording.CLOCK(), lambda: host_health.clock_agrees(lake, settings), required=False),
            asked(wording.PROCESSES(), lambda: host_health.processes_are_current(settings), required=False),
            asked(wording.DISK(), lambda: host_health.disk_has_room(settings)),
            asked(wording.ALERTS_DELIVERED(), lambda: host_health.queue_is_delivered(settings), required=False),
        ),
    )


def _dependencies() -> Check:
    absent = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    detail = wording.NOT_INSTALLED(names=", ".join(absent)) if absent else wording.INSTALLED(count=len(_NEEDED))
    return Check(wording.DEPENDENCIES(), not absent, detail)


def _readable(lake: Lake, *, may_be_new: bool) -> str:
    version = lake.version(KLINES)
    if version is not None:
        newest = lake.newest(KLINES)  # from a file: what the log says of it would do without any
        if newest is None:
            return wording.NO_ROWS_AT(version=version)
        return wording.ROWS_UNTIL(version=version, provenance=lake.provenance(KLINES), time=iso(newest))
    if may_be_new:
        return wording.NOTHING_STORED(place=lake.location)
    raise No(wording.NO_KLINES(place=lake.location))


def _streams(lake: Lake, settings: Settings, now: datetime, *, binding: bool) -> tuple[Check, ...]:
    try:
        measured = measure_freshness(lake, settings=settings, now=now)
    except Exception as error:  # as in `asked`
        return (Check(wording.STREAMS_FRESH(), False, said(error), required=binding),)
    return tuple(
        Check(
            wording.STREAM_FRESH(stream=row.stream, symbol=row.symbol),
            row.fresh,
            wording.NO_ROWS() if row.lag_hours is None else NEWEST_TOO_OLD(age=row.lag_hours, limit=row.max_lag_hours),
            required=binding and row.stale_policy in ("block", "halt"),
        )
        for row in measured
    )


def _bundle(settings: Settings, now: datetime) -> str:
    bundle, version = production_bundle(settings, now=now)
    return wording.BUNDLE(version=version, fingerprint=bundle.fingerprint[:12], time=iso(bundle.contract.expires_at))


def _hour_to_forecast(lake: Lake, settings: Settings, now: datetime, *, running: bool) -> datetime:
    """The newest hour; before a start the newest hour that has a feature row, however old it is."""
    if running:
        return floor_hour(now)
    table = features_contract(symbol=settings.symbol, cross_symbols=settings.cross_symbols)
    newest = lake.newest(table, where=pl.col("symbol") == settings.symbol) if lake.is_current(table) else None
    if newest is None:
        raise No(wording.NO_FEATURE_ROWS())
    return newest


def _forecast(lake: Lake, settings: Settings, now: datetime, hour: datetime) -> str:
    rows = compute_forecasts(lake, settings=settings, now=now, decision_time=hour)
    if not rows.height:
        raise No(wording.NO_FEATURE_ROW(hour=iso(hour)))
    return ", ".join(f"{h} h {p:.3f}" for h, p in rows.select("horizon_hours", "probability_up").rows())


def _newest_signal(lake: Lake, settings: Settings) -> SignalRecord:
    log = SignalLog(lake, folder=settings.home / "logs")
    for record in log.tail(1, symbol=settings.symbol, phase=settings.phase):
        return record
    raise No(wording.NO_SIGNAL())


def _recent_signal(lake: Lake, settings: Settings, now: datetime) -> str:
    record = _newest_signal(lake, settings)
    text = wording.NEWEST_SIGNAL(hour=iso(record.decision_time), state=record.state)
    if now - record.decision_time >= _LATEST_SIGNAL:
        raise No(text)
    return text


def _ml_fields(lake: Lake, settings: Settings) -> str:
    ml = _newest_signal(lake, settings).ml
    if not ml.ml_available:
        raise No(ml.ml_reason)
    return ml.ml_reason
