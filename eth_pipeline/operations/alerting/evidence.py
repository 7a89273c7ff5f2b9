"""What the rules look at, beside signal records: the facts of this host, read without changing anything.

Belongs here: small frozen facts and the readers that find them. Does not belong: when a fact is an alert (`rules`).
What only Dagster knows (failed runs, failed checks) has its fact here and its reader in `defs.alerts`.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from eth_pipeline.contracts.artifact import DRIFT
from eth_pipeline.contracts.clock import HOUR, floor_hour
from eth_pipeline.contracts.decision_tables import TRANSITIONS
from eth_pipeline.contracts.signal import SignalRecord
from eth_pipeline.contracts.table import at
from eth_pipeline.exchange.http.state import STATE_FILE, HostState
from eth_pipeline.lake import Lake
from eth_pipeline.models.drift import DriftReference, DriftReport, measure_drift
from eth_pipeline.operations.signal_log import SignalLog
from eth_pipeline.registry.promotions.production import pointer_or_none
from eth_pipeline.settings import Settings
from eth_pipeline.signals.evidence import feature_rows

_STILL_ASKED = 2 * HOUR
_NEWS = timedelta(days=2)
_SIGNAL_STEPS = frozenset({"hourly_signal", "signal_history"})


@dataclass(frozen=True)
class ExchangeTrouble:
    """An endpoint whose breaker is not closed, or a host that banned this address."""

    subject: str
    since: datetime | None
    failures: int
    reason: str


@dataclass(frozen=True)
class FailedRun:
    """A run that failed and was not meant to.

    Attributes:
        job: what ran.
        run_id: this run.
        steps: that failed, sorted; empty where the run died between steps.
        last_success: id of the job's last good run before it; the same trouble until the next one.
        error: what it said.
    """

    job: str
    run_id: str
    steps: tuple[str, ...]
    last_success: str | None
    error: str


@dataclass(frozen=True)
class FailedCheck:
    """A check of an asset whose newest evaluation failed."""

    asset: str
    check: str
    said: str


@dataclass(frozen=True)
class Disk:
    """Space of the disk that holds `folder`, bytes."""

    folder: Path
    free_bytes: int
    total_bytes: int


def newest_records(settings: Settings, *, count: int) -> tuple[SignalRecord, ...]:
    """The newest `count` records of this symbol and phase, oldest first."""
    log = SignalLog(Lake.of(settings), folder=settings.home / "logs")
    return log.tail(count, symbol=settings.symbol, phase=settings.phase)


def newest_transitions(settings: Settings) -> pl.DataFrame:
    """Alertable rows of `TRANSITIONS` of this symbol and phase, of the two days before its newest row."""
    ours = (pl.col("symbol") == settings.symbol) & (pl.col("phase") == settings.phase) & pl.col("alertable")
    lake = Lake.of(settings)
    newest = lake.newest(TRANSITIONS, where=ours)
    if newest is None:
        return TRANSITIONS.empty()
    return lake.read(TRANSITIONS, where=ours & (pl.col("decision_time") > at(newest - _NEWS)))


def exchange_troubles(settings: Settings, *, now: datetime) -> tuple[ExchangeTrouble, ...]:
    """Breakers that are not closed, and running bans.

    A breaker that nobody has probed for two hours is no evidence: the hourly run asks every endpoint it needs, so this
    one belongs to a host that is no longer configured, or nothing runs at all, which another rule tells.

    Args:
        settings: name the home.
        now: host time, as the breakers' own.
    """
    path = settings.home / STATE_FILE
    if not path.exists():
        return ()
    state = HostState(path)
    try:
        breakers = state.rows(
            "SELECT endpoint, failures, changed_at, reason FROM breakers WHERE state != 'closed' ORDER BY endpoint"
        )
        bans = state.rows("SELECT host, until FROM holds WHERE is_ban AND until > ?", (now.timestamp(),))
    finally:
        state.close()
    found = [
        ExchangeTrouble(str(endpoint), datetime.fromtimestamp(changed_at, UTC), int(failures), str(reason))
        for endpoint, failures, changed_at, reason in breakers
        if now.timestamp() - changed_at < _STILL_ASKED.total_seconds()
    ]
    for host, until in bans:
        found.append(
            ExchangeTrouble(str(host), None, 1, f"banned until {datetime.fromtimestamp(until, UTC):%H:%M} UTC")
        )
    return tuple(found)


def disks(settings: Settings) -> tuple[Disk, ...]:
    """The disks of the home and of the lake, each once; those that cannot be asked are left to the other rules."""
    folders = [settings.home]
    if "://" not in settings.lake_location:
        folders.append(Path(settings.lake_location))
    by_device = {folder.stat().st_dev: folder for folder in reversed(folders) if folder.exists()}
    usages = [(folder, shutil.disk_usage(folder)) for folder in by_device.values()]
    return tuple(Disk(folder, usage.free, usage.total) for folder, usage in usages)


def measured_drift(settings: Settings, *, exchange_now: datetime) -> DriftReport | None:
    """The newest feature rows against the reference of the production bundle.

    None where the bundle has no reference, or too few rows are stored.

    Args:
        settings: name home, lake and features.
        exchange_now: exchange time.
    """
    pointer = pointer_or_none(settings.home)
    path = settings.home / "production" / pointer.folder / DRIFT if pointer is not None else None
    if path is None or not path.exists():
        return None
    reference = DriftReference.model_validate_json(path.read_bytes())
    rows = feature_rows(Lake.of(settings), settings, floor_hour(exchange_now), hours=reference.window_rows)
    if rows.height != reference.window_rows:
        return None
    return measure_drift(rows.select([feature.name for feature in reference.features]).to_numpy(), reference)


def is_blocked_on_purpose(failed_steps: Sequence[tuple[str, bool]]) -> bool:
    """True when a run failed only because its hour was recorded as blocked: the change of state is what is told.

    Args:
        failed_steps: name of each failed step, and whether it failed by its own verdict.
    """
    return bool(failed_steps) and all(own and name in _SIGNAL_STEPS for name, own in failed_steps)
