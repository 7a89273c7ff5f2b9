"""The health check: may this host go on, or start at all?

Belongs here: asking every part of the signal path whether it works, with the true newest rows. Does not belong: the
parts around it (`host_health`), repairing, alerting.
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
from eth_pipeline.features.build import features_contract
from eth_pipeline.lake import Lake
from eth_pipeline.operations import host_health
from eth_pipeline.operations.host_health import Check, No, asked, said
from eth_pipeline.operations.signal_log import SignalLog
from eth_pipeline.settings import Settings
from eth_pipeline.signals.bundle_in_use import production_bundle
from eth_pipeline.signals.evidence import compute_forecasts
from eth_pipeline.signals.freshness import measure_freshness

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
            Check("exchange answers", exchange_reachable, exchange, required=running),
            asked("lake readable", lambda: _readable(lake, may_be_new=not running)),
            asked(
                "lake writable",
                lambda: host_health.lake_writable(settings, may_be_new=not running),
                required="://" not in settings.lake_location,
            ),
            *_streams(lake, settings, now, binding=running),
            asked("bundle verifies", lambda: _bundle(settings, now), required=live),
            asked(
                "bundle forecasts the newest hour",
                lambda: _forecast(lake, settings, now, _hour_to_forecast(lake, settings, now, running=running)),
                required=live,
            ),
            asked("newest signal recent", lambda: _recent_signal(lake, settings, now), required=running),
            asked("newest signal carries ml_*", lambda: _ml_fields(lake, settings), required=live and running),
            asked("registry answers", lambda: host_health.registry_answers(settings), required=False),
            asked("alias agrees", lambda: host_health.alias_agrees(settings), required=False),
            asked("clock", lambda: host_health.clock_agrees(lake, settings), required=False),
            asked("processes", lambda: host_health.processes_are_current(settings), required=False),
            asked("disk", lambda: host_health.disk_has_room(settings)),
            asked("alerts delivered", lambda: host_health.queue_is_delivered(settings), required=False),
        ),
    )


def _dependencies() -> Check:
    absent = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    detail = f"not installed: {', '.join(absent)}. Run make setup." if absent else f"{len(_NEEDED)} packages found"
    return Check("dependencies", not absent, detail)


def _readable(lake: Lake, *, may_be_new: bool) -> str:
    version = lake.version(KLINES)
    if version is not None:
        newest = lake.newest(KLINES)  # from a file: what the log says of it would do without any
        until = "no rows" if newest is None else f"{lake.provenance(KLINES)} data until {iso(newest)}"
        return f"klines at version {version}, {until}"
    if may_be_new:
        return f"nothing is stored in {lake.location} yet; the first hourly run will"
    raise No(f"There is no klines table in {lake.location}. Run the hourly job once.")


def _streams(lake: Lake, settings: Settings, now: datetime, *, binding: bool) -> tuple[Check, ...]:
    try:
        measured = measure_freshness(lake, settings=settings, now=now)
    except Exception as error:  # as in `asked`
        return (Check("streams fresh", False, said(error), required=binding),)
    return tuple(
        Check(
            f"{row.stream} {row.symbol} fresh",
            row.fresh,
            "no rows"
            if row.lag_hours is None
            else f"newest data is {row.lag_hours:.2f} h old, limit {row.max_lag_hours:.2f} h",
            required=binding and row.stale_policy in ("block", "halt"),
        )
        for row in measured
    )


def _bundle(settings: Settings, now: datetime) -> str:
    bundle, version = production_bundle(settings, now=now)
    return f"version {version}, {bundle.fingerprint[:12]}, expires {iso(bundle.contract.expires_at)}"


def _hour_to_forecast(lake: Lake, settings: Settings, now: datetime, *, running: bool) -> datetime:
    """The newest hour; before a start the newest hour that has a feature row, however old it is."""
    if running:
        return floor_hour(now)
    table = features_contract(symbol=settings.symbol, cross_symbols=settings.cross_symbols)
    newest = lake.newest(table, where=pl.col("symbol") == settings.symbol) if lake.is_current(table) else None
    if newest is None:
        raise No("There is no feature row yet. Run the hourly job.")
    return newest


def _forecast(lake: Lake, settings: Settings, now: datetime, hour: datetime) -> str:
    rows = compute_forecasts(lake, settings=settings, now=now, decision_time=hour)
    if not rows.height:
        raise No(f"There is no feature row for {iso(hour)}. Run the hourly job.")
    return ", ".join(f"{h} h {p:.3f}" for h, p in rows.select("horizon_hours", "probability_up").rows())


def _newest_signal(lake: Lake, settings: Settings) -> SignalRecord:
    log = SignalLog(lake, folder=settings.home / "logs")
    for record in log.tail(1, symbol=settings.symbol, phase=settings.phase):
        return record
    raise No("no signal was ever recorded. Run the hourly job.")


def _recent_signal(lake: Lake, settings: Settings, now: datetime) -> str:
    record = _newest_signal(lake, settings)
    text = f"{iso(record.decision_time)}, {record.state}"
    if now - record.decision_time >= _LATEST_SIGNAL:
        raise No(text)
    return text


def _ml_fields(lake: Lake, settings: Settings) -> str:
    ml = _newest_signal(lake, settings).ml
    if not ml.ml_available:
        raise No(ml.ml_reason)
    return ml.ml_reason
