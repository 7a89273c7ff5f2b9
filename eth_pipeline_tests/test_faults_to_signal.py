"""Every fault of the embedded exchange through the real hourly run: what the signal of that hour says, and the next.

Belongs here: state and reasons of the record. Does not belong: rows, ledger and requests (`test_exchange_faults`).
Faults that must change nothing share an hour: whichever of them changed something would fail it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest

from eth_pipeline.contracts.clock import HOUR, floor_hour
from eth_pipeline.contracts.signal import ReasonCode, SignalRecord, SignalState
from eth_pipeline.contracts.table import INSTANT
from eth_pipeline.contracts.tables import KLINES
from eth_pipeline.defs.resources import Pipeline
from eth_pipeline.lake import Lake
from eth_pipeline.sandbox.faults import KINDS
from eth_pipeline.settings import SignalSettings
from eth_pipeline_tests.shared_folder import shared_folder
from eth_pipeline_tests.small_home import SmallHome, small_home

QUARTER = timedelta(minutes=15)
KLINES_OF = {"streams": ["klines"]}
_NEVER_CAME = {ReasonCode.STREAM_STALE, ReasonCode.SOURCE_DEGRADED, ReasonCode.DATA_GAP, ReasonCode.FEATURES_MISSING}
_DOWN = frozenset({*_NEVER_CAME, ReasonCode.EXCHANGE_UNREACHABLE})


@dataclass(frozen=True)
class Case:
    """Faults in force during the decision of one hour.

    Attributes:
        why: one line.
        faults: kind to parameters; `gap` gets its [since, until) from `hole`.
        state, reasons: of the record; `bundle_absent` is always there, since this home has no bundle.
        hours: how far the clock moved since the hour before.
        hole: start of a missing bar of 15 minutes, before the decided hour.
        attempts: tries of one request.
    """

    why: str
    faults: dict[str, dict[str, Any]]
    state: SignalState = SignalState.DEGRADED
    reasons: frozenset[ReasonCode] = field(default_factory=frozenset)
    hours: int = 1
    hole: timedelta = QUARTER
    attempts: int = 1


_BLOCKED = SignalState.BLOCKED
_LONG_RETRY = {"retry_after_seconds": 3600}
CASES = {
    "down": Case("no bar of the hour came", {"server_error": {}}, _BLOCKED, _DOWN),
    "rate_limited": Case("nobody may ask before the hour is over", {"rate_limited": _LONG_RETRY}, _BLOCKED, _DOWN),
    "banned": Case("a ban is a limit with a longer name", {"banned": _LONG_RETRY}, _BLOCKED, _DOWN),
    "restricted": Case(
        "the archive has no file of the hour, and the word for it is not `unreachable`",
        {"region_restricted": {}},
        _BLOCKED,
        frozenset({*_NEVER_CAME, ReasonCode.ARCHIVE_ONLY}),
    ),
    "stale": Case(
        "the exchange answers, yet its newest bar of the traded symbol is an hour old",
        {"stale": {**KLINES_OF, "symbols": ["ETHUSDT"]}},
        _BLOCKED,
        frozenset({ReasonCode.STREAM_STALE, ReasonCode.DATA_GAP, ReasonCode.FEATURES_MISSING}),
    ),
    "stale_cross": Case(
        "a cross symbol is a source among others",
        {"stale": {**KLINES_OF, "symbols": ["BTCUSDT"]}},
        reasons=frozenset({ReasonCode.SOURCE_DEGRADED}),
    ),
    "gap_before_the_hour": Case(
        "the hour itself is complete, a bar of the day before it is not",
        {"gap": KLINES_OF},
        reasons=frozenset({ReasonCode.DATA_GAP}),
        hours=2,
        hole=HOUR + 2 * QUARTER,
    ),
    "gap_in_the_hour": Case(
        "the hourly bar is made of complete quarters only, so there is none and no feature row",
        {"gap": KLINES_OF},
        _BLOCKED,
        frozenset({ReasonCode.DATA_GAP, ReasonCode.FEATURES_MISSING}),
        hole=3 * QUARTER,
    ),
    "zero_open_interest": Case(
        "zeros are refused, so the newest true value reaches its limit of three hours",
        {"zero_open_interest": {}},
        reasons=frozenset({ReasonCode.SOURCE_DEGRADED}),
        hours=3,
    ),
    "unsettled_bars": Case(
        "the open bar is not stored and a bar that may still change is asked for again",
        {"unfinished": {}, "late_bar": {"seconds": 60.0}},
    ),
    "spoiled_once": Case(
        "asked again within the run",
        {
            "server_error": {"count": 1, **KLINES_OF},
            "truncated_body": {"count": 1, "streams": ["mark_klines"]},
            "partial_page": {"count": 1, "rows": 1, **KLINES_OF},
            "duplicate": {"rows": 2},
            "delay": {"seconds": 0.2, "count": 2},
        },
        attempts=3,
    ),
    "archive_and_clock": Case(
        "the tail comes over REST, and seconds do not move the hour",
        {"wrong_checksum": {}, "corrupt_zip": {}, "label_flip": {}, "clock_skew": {"seconds": 5.0}},
    ),
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallHome]:
    """One home for all cases, with one cross symbol."""
    with small_home(tmp_path_factory.mktemp("home"), shared=shared_folder(tmp_path_factory)) as home:
        home.environment["ETH_PIPELINE_CROSS_SYMBOLS"] = '["BTCUSDT"]'
        home.environment["ETH_PIPELINE_EXCHANGE__BAR_WAIT_SECONDS"] = "1"
        yield home


def advance(home: SmallHome, hours: int) -> datetime:
    """A healthy exchange `hours` later whose time is known; the hour to decide."""
    home.sandbox.faults.clear()
    for path in home.folder.glob("exchange_state.sqlite*"):  # breakers and holds wait on the real clock
        path.unlink()
    home.sandbox.clock.advance(hours * HOUR)
    with home.entered():
        assert Pipeline().moment().reachable
    return floor_hour(home.sandbox.clock.now())


def decide(home: SmallHome, hour: datetime) -> SignalRecord:
    """The record that the hourly run writes for `hour`."""
    with home.entered() as instance:
        home.run_job("hourly", instance=instance)
    record = home.signals()[-1]
    assert record.decision_time == hour
    return record


def codes(record: SignalRecord) -> set[ReasonCode]:
    """Without what lingers from the cases before: they run in any order."""
    return {reason.code for reason in record.reasons} - {ReasonCode.RECOVERING}


def assert_bars_are_true(home: SmallHome, hour: datetime) -> None:
    """Every bar of the last day that is stored is over and has the market's values."""
    market = home.sandbox.market.bars("klines", "ETHUSDT", until=home.sandbox.clock.now())
    time = pl.from_epoch("open_time", "ms").dt.replace_time_zone("UTC").cast(INSTANT)
    stored = Lake(str(home.folder / "lake")).read(
        KLINES, where=(pl.col("symbol") == "ETHUSDT") & (pl.col("open_time") >= hour - 24 * HOUR)
    )
    rows = stored.join(market.with_columns(time.alias("open_time")), on="open_time", suffix="_true")
    assert rows.height == stored.height
    assert stored["close_time"].max() == hour
    for name in ("open", "high", "low", "close", "volume"):
        assert (rows[name] - rows[f"{name}_true"]).abs().max() < 1e-6, name  # type: ignore[operator]  # numbers


def test_no_kind_of_fault_is_forgotten() -> None:
    assert {kind for case in CASES.values() for kind in case.faults} == set(KINDS)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_the_signal_of_a_faulty_hour_says_what_is_wrong_and_the_next_one_is_well(built: SmallHome, name: str) -> None:
    case = CASES[name]
    built.environment["ETH_PIPELINE_EXCHANGE__ATTEMPTS"] = str(case.attempts)
    hour = advance(built, case.hours)
    for kind, parameters in case.faults.items():
        times: dict[str, Any] = {}
        if kind == "gap":
            times = {"since": hour - case.hole, "until": hour - case.hole + QUARTER}
        elif kind == "stale":
            times = {"since": hour - HOUR}
        elif kind == "zero_open_interest":
            times = {"since": hour - case.hours * HOUR + QUARTER}
        built.sandbox.faults.switch_on(kind, **parameters, **times)
    record = decide(built, hour)
    stale = [item for item in record.freshness if not item.fresh and item.stale_policy != "record"]
    assert not (stale and record.state is SignalState.TRADEABLE), "never tradeable on stale input"
    # Which large timeframes a hole takes away depends on the hour, so on the order of the cases: ask the record.
    thin = record.consensus_coverage < SignalSettings().min_consensus_coverage
    expected = {*case.reasons, ReasonCode.BUNDLE_ABSENT} | ({ReasonCode.CONSENSUS_THIN} if thin else set())
    assert codes(record) == expected, case.why
    assert (record.state, record.allow_open) == (case.state, case.state is not _BLOCKED)
    if not case.reasons and name != "unsettled_bars":
        assert_bars_are_true(built, hour)
        return  # an hour like any other: nothing to recover from
    hour = advance(built, 1)
    record = decide(built, hour)
    assert codes(record) == {ReasonCode.BUNDLE_ABSENT}, "the exchange has every row again, so no hole is left"
    assert (record.state, record.allow_open) == (SignalState.DEGRADED, True)
    assert_bars_are_true(built, hour)
