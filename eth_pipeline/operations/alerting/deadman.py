"""The dead-man's switch: it notices that nothing writes signals any more, without any of the parts that should.

Belongs here: the newest record, from the lake or else from the log's files, and whether silence is too long. Does not
belong: remembering and telling (`book`, `watch`), starting it (a timer outside of Dagster). No exchange is
asked: its time is the host's, corrected by the offset that the hourly runs measured last.

A lake that cannot be read, or that lost its records, is silence too.
"""

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import polars as pl

from eth_pipeline.contracts.alert import AlertKind
from eth_pipeline.contracts.clock import HOUR, iso, parse_instant
from eth_pipeline.contracts.decision_tables import SIGNALS
from eth_pipeline.contracts.table import at
from eth_pipeline.contracts.wording import alerts as wording
from eth_pipeline.exchange.http.exchange_time import newest_offset
from eth_pipeline.exchange.http.state import STATE_FILE, HostState
from eth_pipeline.lake import Lake
from eth_pipeline.operations.alerting.kinds import Condition
from eth_pipeline.settings import Settings

_DUE_AFTER = HOUR  # a record of the hour T is followed by one of T + 1 h
_PAST_DUE = HOUR
_LAKE_SECONDS = 20.0


@dataclass(frozen=True)
class Sighting:
    """The newest hour on record.

    Attributes:
        newest: None where no record was found anywhere.
        lake_problem: why the lake did not tell; None where it did.
    """

    newest: datetime | None
    lake_problem: str | None


def silence(settings: Settings, *, exchange_now: datetime) -> tuple[Condition, ...]:
    """What is wrong with the records of a home: too old, absent, or no longer in the lake.

    Args:
        settings: of the home.
        exchange_now: exchange time.
    """
    grace = timedelta(minutes=settings.alerts.deadman_grace_minutes)
    name = f"{settings.symbol} {settings.phase}"
    return judge_silence(sighting(settings, until=exchange_now), name=name, exchange_now=exchange_now, grace=grace)


def judge_silence(seen: Sighting, *, name: str, exchange_now: datetime, grace: timedelta) -> tuple[Condition, ...]:
    """A record is overdue when an hour and the grace have passed since it was due.

    Args:
        seen: what was found.
        name: symbol and phase, for people.
        exchange_now: exchange time.
        grace: patience beyond the hour.
    """
    found = []
    if seen.lake_problem is not None:
        text = wording.LAKE_SILENT(why=seen.lake_problem)
        found.append(Condition(AlertKind.SIGNAL_OVERDUE, "lake", text))
    if seen.newest is None:
        text = wording.NEVER_SIGNALLED(series=name)
        found.append(Condition(AlertKind.SIGNAL_OVERDUE, name, text))
    elif exchange_now >= seen.newest + _DUE_AFTER + _PAST_DUE + grace:
        due = seen.newest + _DUE_AFTER
        text = wording.SIGNAL_OVERDUE(series=name, newest=iso(seen.newest), due=iso(due))
        found.append(Condition(AlertKind.SIGNAL_OVERDUE, name, text))
    return tuple(found)


def sighting(settings: Settings, *, until: datetime, lake_seconds: float = _LAKE_SECONDS) -> Sighting:
    """Look into the lake, and into the log's files where the lake does not answer or has nothing.

    Args:
        settings: of the home.
        until: exchange time; a record of a later hour is a clock that went wrong, and must not mute the switch.
        lake_seconds: how long the lake may take; a store that hangs must not hang the switch.
    """
    problem = None
    try:
        newest = _in_lake(settings, until=until, lake_seconds=lake_seconds)
        if newest is not None:
            return Sighting(newest, None)
    except Exception as error:  # damaged tables and absent stores raise all kinds, and each is the finding
        problem = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}."
    logged = newest_logged(settings.home / "logs", symbol=settings.symbol, phase=settings.phase, until=until)
    if logged is not None and problem is None:
        problem = f"it holds no record, and the log holds one of {iso(logged)}."
    return Sighting(logged, problem)


def _in_lake(settings: Settings, *, until: datetime, lake_seconds: float) -> datetime | None:
    """The newest hour of the table, asked in a thread that is left behind where it does not come back."""
    ours = (pl.col("symbol") == settings.symbol) & (pl.col("phase") == settings.phase)
    ours = ours & (pl.col("decision_time") <= at(until))
    answers: list[datetime | Exception | None] = []

    def look() -> None:
        try:
            answers.append(Lake.of(settings).newest(SIGNALS, where=ours))
        except Exception as error:
            answers.append(error)

    thread = Thread(target=look, daemon=True)
    thread.start()
    thread.join(lake_seconds)
    if not answers:
        raise TimeoutError(f"no answer within {lake_seconds:g} s")
    if isinstance(answers[0], Exception):
        raise answers[0]
    return answers[0]


def newest_logged(folder: Path, *, symbol: str, phase: str, until: datetime) -> datetime | None:
    """The newest hour in the JSON lines, `until` at the latest; torn lines and other series are passed over."""
    try:
        for path in sorted(folder.glob("signals_*.jsonl"), reverse=True):
            hours = [hour for hour in _hours(path, symbol=symbol, phase=phase) if hour <= until]
            if hours:
                return max(hours)
    except OSError:
        return None
    return None


def known_offset(settings: Settings) -> timedelta | None:
    """Exchange time less host time as it was measured last; None where it never was or cannot be read."""
    path = settings.home / STATE_FILE
    try:
        if not path.exists():
            return None
        state = HostState(path)
        try:
            seen = newest_offset(state, urlsplit(settings.exchange.futures_url).netloc)
        finally:
            state.close()
    except (OSError, sqlite3.Error):
        return None
    return seen.offset if seen is not None else None


def _hours(path: Path, *, symbol: str, phase: str) -> Iterator[datetime]:
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            record: dict[str, Any] = json.loads(line)["data"]
            if (record["symbol"], record["phase"]) == (symbol, phase):
                yield parse_instant(record["decision_time"])
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
