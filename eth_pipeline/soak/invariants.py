"""What must hold in every hour, whatever fails: one function per invariant, each answering with what broke it.

Belongs here: judging what an hour left behind, from the stored rows and the market itself. Does not belong: driving
hours (`hours`), the market's rows (`truth`). No function asks the gate or the freshness code whether it was right:
they are what is on trial.
"""

import gzip
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import polars as pl

from eth_pipeline.contracts.clock import HOUR, iso
from eth_pipeline.contracts.decision_tables import SIGNALS, TRANSITIONS
from eth_pipeline.contracts.signal import ReasonCode, SignalRecord, SignalState, record_from_json
from eth_pipeline.contracts.table import INSTANT
from eth_pipeline.contracts.tables import STREAMS
from eth_pipeline.errors import BundleRefused, ContractViolation
from eth_pipeline.lake import Lake
from eth_pipeline.registry.promotion_log import PromotionLog
from eth_pipeline.registry.verification import verify_bundle
from eth_pipeline.sandbox.market import Market
from eth_pipeline.sandbox.request_log import RequestRecord
from eth_pipeline.settings import Settings
from eth_pipeline.signals.bundle_in_use import expectations
from eth_pipeline.signals.freshness import DATA_TIME, expected_symbols
from eth_pipeline.signals.transitions import new_transitions
from eth_pipeline.soak.plan import Bounds
from eth_pipeline.soak.truth import differences
from eth_pipeline.trading.ledger import ACCOUNT_EVENTS, Event, events_from_frame, replay

INVARIANTS = {
    "one_record_per_hour": "every hour has exactly one record, however often it was decided or died",
    "tradeable_on_good_input": "no tradeable hour on stale, gapped, untrue or unverified input",
    "lake_is_true": "healed, the lake holds the market's rows: none absent, none invented, none wrong",
    "ledger_balances": "the account's events follow each other and add up to its state",
    "no_event_lost": "every record has its line and its announced change, every hour its mark, every move its entry",
    "requests_within_budget": "weights and counts stay below the limits, and a refusal is obeyed",
    "well_again": "a calm hour is not blocked",
    "bounded": "memory, open files and disk stay within the plan's bounds",
}
_DECISIVE = ("klines", "mark_klines")
_USDT_OFF = 1e-6
_FUTURES_DATA, _FUNDING = "/futures/data/", "/fapi/v1/fundingRate"
_FUTURES_DATA_PER_WINDOW, _FUNDING_PER_WINDOW = 1000, 500
_REFUSED = (418, 429)
_WARM_UP_HOURS = 3
_ONE_STEP_MEGABYTES = 150.0
_DISK_OVER_HOURS = 24  # the open write-ahead logs of a worker's newest runs come at once and stay as many


def read_records(lake: Lake, *, settings: Settings, first: datetime) -> list[SignalRecord]:
    """Every stored record from `first` on, oldest first, doubles included."""
    mine = (pl.col("symbol") == settings.symbol) & (pl.col("phase") == settings.phase)
    rows = lake.read(SIGNALS, where=mine & (pl.col("decision_time") >= pl.lit(first, INSTANT)))
    return [record_from_json(text) for text in rows.sort("decision_time")["record"]]


def one_record_per_hour(records: Sequence[SignalRecord], *, first: datetime, last: datetime | None) -> Iterator[str]:
    """Doubles anywhere, and hours of [first, last] without a record; None where no run reached its end yet."""
    seen = Counter(record.decision_time for record in records)
    yield from (f"{iso(hour)} has {count} records" for hour, count in sorted(seen.items()) if count > 1)
    hours = 0 if last is None else int((last - first) / HOUR) + 1
    yield from (f"{iso(first + n * HOUR)} has no record" for n in range(hours) if first + n * HOUR not in seen)


def tradeable_on_good_input(
    record: SignalRecord, *, lake: Lake, market: Market, settings: Settings, bars_may_change: bool
) -> Iterator[str]:
    """What forbids `record` to be tradeable; nothing for any other record.

    Args:
        bars_may_change: the exchange publishes bars that are not final, which nobody can see from outside.
    """
    if record.state is not SignalState.TRADEABLE:
        return
    yield from _stale(record, lake, settings)
    window = timedelta(hours=settings.freshness.gap_window_hours)
    found = differences(
        lake,
        market,
        settings=settings,
        since=record.decision_time - window,
        until=record.decision_time,
        streams=_DECISIVE,
        symbols=(settings.symbol,),
    )
    yield from (what for what in found if not (bars_may_change and " are wrong" in what))
    yield from _unverified(record, settings)


def _stale(record: SignalRecord, lake: Lake, settings: Settings) -> Iterator[str]:
    for table in STREAMS.values():
        time = DATA_TIME[table.name]
        known = pl.col("available_at") <= pl.lit(record.emitted_at, INSTANT)
        recent = pl.col(time) > pl.lit(record.emitted_at - timedelta(days=3), INSTANT)
        newest = dict(
            lake.read(table, where=known & recent, columns=["symbol", time]).group_by("symbol").agg(pl.max(time)).rows()
        )
        for symbol in expected_symbols(table.name, settings=settings):
            limits = settings.freshness.limits(table.name, is_main_symbol=symbol == settings.symbol)
            age = record.emitted_at - newest[symbol] if symbol in newest else None
            if limits.stale_policy != "record" and (age is None or age >= timedelta(hours=limits.max_lag_hours)):
                yield f"newest {table.name} of {symbol} is {'absent' if age is None else f'{age / HOUR:.2f} h old'}"


def _unverified(record: SignalRecord, settings: Settings) -> Iterator[str]:
    if not (record.ml.ml_available and record.ml.ml_fingerprint):
        yield "no model answered"
        return
    folder = settings.home / "production" / record.ml.ml_fingerprint
    try:
        bundle = verify_bundle(folder, **expectations(settings, now=record.emitted_at))
    except BundleRefused as refusal:
        yield f"its model {record.ml.ml_fingerprint[:12]} does not verify: {refusal}"
        return
    if bundle.fingerprint != record.ml.ml_fingerprint:
        yield f"its model says {record.ml.ml_fingerprint[:12]} and is {bundle.fingerprint[:12]}"


def lake_is_true(lake: Lake, market: Market, *, settings: Settings, since: datetime, until: datetime) -> Iterator[str]:
    """Every difference of every stream and symbol in (since, until]."""
    return differences(lake, market, settings=settings, since=since, until=until)


def read_ledger(lake: Lake, *, settings: Settings) -> tuple[Event, ...]:
    """Every event of the account."""
    mine = (pl.col("symbol") == settings.symbol) & (pl.col("phase") == settings.phase)
    return events_from_frame(lake.read(ACCOUNT_EVENTS, where=mine))


def ledger_balances(
    events: Sequence[Event], *, settings: Settings, unseen: frozenset[datetime] = frozenset()
) -> Iterator[str]:
    """Sequence, sums, fees and marks of the ledger, added up here once more.

    Args:
        unseen: ends of hours that the account may have passed over, since no price of them was known in time.
    """
    for number, event in enumerate(events):
        if event.sequence != number:
            yield f"event {number} carries the number {event.sequence}"
            return
    try:
        state = replay(events)
    except ContractViolation as error:
        yield str(error)
        return
    cash = sum(event.cash_change_usdt for event in events)
    if abs(cash - state.cash_usdt) > _USDT_OFF:
        yield f"cash is {state.cash_usdt:.6f} USDT, its changes add up to {cash:.6f}"
    position = sum(event.quantity_eth for event in events)
    if abs(position - state.position_eth) > _USDT_OFF:
        yield f"{state.position_eth} ETH are held, the fills add up to {position}"
    turnover = sum(abs(event.quantity_eth) * (event.price_usdt or 0.0) for event in events)
    fees = -sum(event.cash_change_usdt for event in events if event.kind == "fee")
    due = turnover * settings.account.taker_fee_bps / 1e4
    if abs(fees - due) > max(_USDT_OFF, 1e-6 * due):
        yield f"fees are {fees:.6f} USDT, {due:.6f} are due on {turnover:.2f} USDT of fills"
    marks = [event.event_time for event in events if event.kind == "mark"]
    for before, after in pairwise(marks):
        passed = [before + n * HOUR for n in range(1, int((after - before) / HOUR))]
        if after <= before or not unseen.issuperset(passed):
            yield f"the account was marked at {iso(before)} and next at {iso(after)}"


def no_event_lost(lake: Lake, records: Sequence[SignalRecord], *, settings: Settings, since: datetime) -> Iterator[str]:
    """Records of `since` and later without their line or their announced change; a promotion log that is not whole."""
    recent = [record for record in records if record.decision_time >= since]
    lines = _lines(settings.home / "logs", recent)
    for record in recent:
        written = lines.get(record.decision_time)
        if written is None:
            yield f"{iso(record.decision_time)} has a record and no line in the log"
        elif written != (record.run_id, str(record.state)):
            yield f"{iso(record.decision_time)}: the log's last line is of another evaluation than the record"
    mine = (pl.col("symbol") == settings.symbol) & (pl.col("phase") == settings.phase)
    missing = new_transitions(
        list({record.decision_time: record for record in records}.values()), known=lake.read(TRANSITIONS, where=mine)
    )
    for row in missing.iter_rows(named=True):
        yield f"{iso(row['decision_time'])}: {row['from_state']} to {row['to_state']} was never announced"
    try:
        PromotionLog.of(settings.home).verify()
    except ContractViolation as error:
        yield str(error)


def _lines(folder: Path, records: Sequence[SignalRecord]) -> dict[datetime, tuple[str, str]]:
    """Run and state of the last line of each hour."""
    found: dict[datetime, tuple[str, str]] = {}
    for name in sorted({f"signals_{record.decision_time:%Y%m%d}.jsonl" for record in records}):
        plain, packed = folder / name, folder / f"{name}.gz"
        text = gzip.decompress(packed.read_bytes()).decode() if packed.exists() else ""
        text += plain.read_text() if plain.exists() else ""
        for line in text.splitlines():
            try:
                data = json.loads(line)["data"]
            except ValueError:  # cut off by a full disk; its record must have another line
                continue
            found[datetime.fromisoformat(data["decision_time"])] = (data["run_id"], data["state"])
    return found


def requests_within_budget(requests: Sequence[RequestRecord], *, settings: Settings, faulty: bool) -> Iterator[str]:
    """What the requests of one hour, oldest first, did beyond what this address may.

    All of an hour is held against the limits of one minute (of five, for the two counted endpoints).

    Args:
        faulty: a fault makes the exchange refuse; without one a 429 or 418 is our own doing.
    """
    usable = 1.0 - settings.exchange.weight_reserve_share
    rest = [request for request in requests if request.weight]
    limits = {
        "weight": (sum(r.weight for r in rest), settings.exchange.weight_limit_per_minute * usable),
        "futures data": (sum(r.path.startswith(_FUTURES_DATA) for r in rest), _FUTURES_DATA_PER_WINDOW * usable),
        "funding": (sum(r.path == _FUNDING for r in rest), _FUNDING_PER_WINDOW * usable),
    }
    yield from (f"{name}: {used} used, {limit:.0f} allowed" for name, (used, limit) in limits.items() if used > limit)
    refusals = [place for place, request in enumerate(requests) if request.status in _REFUSED]
    if refusals and not faulty:
        yield f"the exchange refused {len(refusals)} requests by itself"
    in_flight = 2 * settings.exchange.archive_parallel_downloads
    if refusals and (after := len(requests) - refusals[0] - 1) > in_flight:
        yield f"{after} requests were sent after a refusal, {in_flight} can have been under way"


def well_again(record: SignalRecord | None, *, is_calm: bool) -> Iterator[str]:
    """A blocked or absent record of a calm hour. A limit of the account may block in any weather."""
    if not is_calm:
        return
    if record is None:
        yield "the hour has no record"
    elif record.state is SignalState.BLOCKED and {reason.code for reason in record.reasons} != {ReasonCode.RISK_LIMIT}:
        yield f"blocked in a calm hour: {record.gating_reason}"


@dataclass(frozen=True)
class Sample:
    """What one hour used; memory and open files of the worker that ran it, `hours` orders old, disk of the home."""

    number: int
    worker_hours: int
    memory_megabytes: float
    open_files: int
    disk_megabytes: float | None


def bounded(samples: Sequence[Sample], *, bounds: Bounds) -> Iterator[str]:
    """What was used beyond the bounds."""
    for sample in samples:
        if sample.memory_megabytes > bounds.worker_memory_megabytes:
            yield f"hour {sample.number}: the worker holds {sample.memory_megabytes:.0f} MB"
        if sample.open_files > bounds.worker_open_files:
            yield f"hour {sample.number}: the worker has {sample.open_files} files open"
    warm = [sample for sample in samples if sample.worker_hours > _WARM_UP_HOURS and sample.memory_megabytes]
    for before, after in pairwise(warm):
        grown = after.memory_megabytes - before.memory_megabytes
        days = (after.worker_hours - before.worker_hours) / 24
        if days > 0 and grown > max(_ONE_STEP_MEGABYTES, bounds.worker_growth_megabytes_per_day * days):
            yield f"hour {after.number}: the worker grew by {grown:.0f} MB in {days * 24:.0f} h"
    disk = [(sample.number, sample.disk_megabytes) for sample in samples if sample.disk_megabytes is not None]
    if len(disk) > 1 and (hours := disk[-1][0] - disk[0][0]) >= _DISK_OVER_HOURS:
        per_hour = (disk[-1][1] - disk[0][1]) / hours
        if per_hour > bounds.disk_megabytes_per_hour:
            yield f"the home grew by {per_hour:.2f} MB an hour over {hours} hours"
