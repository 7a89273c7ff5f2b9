"""The course of hours: nothing later than the decision is seen, and the rebuild is the hourly step."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings

from eth_pipeline.contracts.decision_tables import SIGNALS
from eth_pipeline.contracts.signal import Reason, ReasonCode
from eth_pipeline.contracts.tables import FUNDING_RATES, KLINES, MARK_KLINES
from eth_pipeline.lake import Lake
from eth_pipeline.operations.signal_log import SignalLog
from eth_pipeline.settings import AccountSettings
from eth_pipeline.signals.gating.policy import judge
from eth_pipeline.trading.account import advance_account, read_events
from eth_pipeline.trading.book import Book
from eth_pipeline.trading.hours import Order, Settlement
from eth_pipeline.trading.timeline import decide_hours, open_account, rebuild_account
from eth_pipeline_tests.decision_samples import HOUR, NOON, bars, funding, mark_bars, sample_settings, signal, walk
from eth_pipeline_tests.trading_samples import Market, accounts, hours_of, markets, run, sides

SETTINGS = sample_settings()
BLOCKED = judge([Reason(code=ReasonCode.STREAM_STALE, subject="klines ETHUSDT", detail="2 h")], phase="paper")
HOURS = 60


@settings(max_examples=20, deadline=None)
@given(markets(), accounts())
def test_deciding_in_the_loop_is_the_same_as_orders_known_before(market: Market, account: AccountSettings) -> None:
    book = open_account(account, at=NOON)
    decide_hours(book, prices=market.prices, decide=lambda hour, _: market.wanted.get(hour), due=market.due)
    assert book.events == run(market, account).events


@settings(max_examples=20, deadline=None)
@given(markets(), accounts())
def test_a_decision_sees_the_account_after_the_hour_before_and_nothing_later(
    market: Market, account: AccountSettings
) -> None:
    seen: dict[datetime, object] = {}

    def decide(hour: datetime, book: Book) -> Order | None:
        assert all(event.event_time <= hour and event.available_at <= hour for event in book.events)
        seen[hour] = book.state
        return market.wanted.get(hour)

    decide_hours(open_account(account, at=NOON), prices=market.prices, decide=decide, due=market.due)
    for hour in list(seen)[:: max(len(seen) // 3, 1)]:
        assert run(market.between(NOON, hour), account).state == seen[hour]


def test_what_a_decision_holds_can_depend_on_the_account() -> None:
    """Reverses whenever something is held: impossible with orders written down before."""
    book = open_account(AccountSettings(), at=NOON)

    def flip(_: datetime, account: Book) -> Order:
        held = account.held_share()
        return Order(-1 if held and held > 0 else 1, 0.2, True)

    decide_hours(book, prices=hours_of(*[2000.0] * 4), decide=flip, due=())
    assert [np.sign(event.quantity_eth) for event in book.events if event.kind == "open"] == [1, -1, 1, -1]


def test_late_funding_is_charged_in_the_hour_that_learned_of_it() -> None:
    instant = NOON + 2 * HOUR
    for known_at, hour in ((instant, 2), (instant + HOUR, 2), (instant + 1.5 * HOUR, 3), (instant + 2 * HOUR, 3)):
        due = (Settlement(instant, 0.001, known_at),)
        book = run(Market(hours_of(*[2000.0] * 5), sides(1, 1, 1, 1, 1), due), AccountSettings())
        (charged,) = (event for event in book.events if event.kind == "funding")
        assert charged.event_time == instant
        assert charged.available_at == NOON + (hour + 1) * HOUR


def rows(*, first: datetime = NOON) -> dict[str, pl.DataFrame]:
    """Walking prices from `first` on; signals and funding of `HOURS` hours from noon on, some blocked, none at first.

    Prices of the hours from noon on do not depend on `first`.
    """
    ago = int((NOON - first) / HOUR)
    prices = [*walk(ago, seed=8), *walk(HOURS, seed=4)] if ago else walk(HOURS, seed=4)
    records = []
    for n in range(HOURS):
        blocked = {"verdict": BLOCKED} if n % 11 == 5 else {}
        records.append(signal(SETTINGS, NOON + n * HOUR, net=(60, 60, -60, 60, -60, 0)[n // 5 % 6], **blocked))
    times = [first + n * HOUR for n in range(len(prices)) if (first + n * HOUR).hour % 8 == 0]
    return {
        "klines": bars(prices, first=first),
        "marks": mark_bars(prices, first=first),
        "funding": funding({at: 0.0001 * (1 + n % 3) for n, at in enumerate(reversed(times))}).sort("funding_time"),
        "signals": _signal_rows(records),
    }


def _signal_rows(records: list[object]) -> pl.DataFrame:
    log_rows = [record.flat() for record in records]  # type: ignore[attr-defined]  # records of `signal`
    return pl.DataFrame(
        {
            "symbol": [row["symbol"] for row in log_rows],
            "phase": [row["phase"] for row in log_rows],
            "decision_time": [datetime.fromisoformat(row["decision_time"]) for row in log_rows],
            "available_at": [datetime.fromisoformat(row["emitted_at"]) for row in log_rows],
            "state": [row["state"] for row in log_rows],
            "action": [row["action"] for row in log_rows],
            "allow_open": [row["allow_open"] for row in log_rows],
            "position_share": [row["position_share"] for row in log_rows],
        }
    ).cast({name: SIGNALS.schema[name] for name in ("decision_time", "available_at")})


def test_the_rebuild_gives_the_ledger_that_hourly_steps_write(tmp_path: Path) -> None:
    made = rows()
    lake = Lake(str(tmp_path / "lake"))
    for table, name in ((KLINES, "klines"), (MARK_KLINES, "marks"), (FUNDING_RATES, "funding")):
        lake.upsert(table, made[name])
    log = SignalLog(lake, folder=tmp_path / "logs")
    records = []
    for n in range(HOURS):
        blocked = {"verdict": BLOCKED} if n % 11 == 5 else {}
        records.append(signal(SETTINGS, NOON + n * HOUR, net=(60, 60, -60, 60, -60, 0)[n // 5 % 6], **blocked))
    log.write_many(records)
    for n in (0, 1, 2, 3, 10, 11, 40, HOURS):
        advance_account(lake=lake, settings=SETTINGS, until=NOON + n * HOUR)
    book = rebuild_account(**made, settings=SETTINGS)
    assert {"open", "close", "funding"} <= {event.kind for event in book.events}
    assert tuple(book.events) == read_events(lake, settings=SETTINGS)


def test_where_the_history_of_bars_starts_does_not_matter() -> None:
    """The account begins at its first signal, with whatever lies before it."""
    at_noon = rebuild_account(**rows(), settings=SETTINGS)
    long_before = rows(first=NOON - 500 * HOUR)
    assert long_before["klines"].height == 500 + HOURS
    earlier = rebuild_account(**{**long_before, "funding": _from_noon(long_before["funding"])}, settings=SETTINGS)
    same_rates = rows() | {"funding": _from_noon(long_before["funding"])}
    assert earlier.events == rebuild_account(**same_rates, settings=SETTINGS).events
    with_old_funding = rebuild_account(**long_before, settings=SETTINGS)
    assert with_old_funding.events == earlier.events
    assert at_noon.begun == earlier.begun == NOON


def _from_noon(rates: pl.DataFrame) -> pl.DataFrame:
    return rates.filter(pl.col("funding_time") >= NOON)


def test_other_symbols_and_phases_are_not_this_account() -> None:
    made = rows()
    ours = rebuild_account(**made, settings=SETTINGS)
    foreign = {name: frame.with_columns(symbol=pl.lit("BTCUSDT")) for name, frame in made.items()}
    both = {name: pl.concat([frame, foreign[name]]) for name, frame in made.items()}
    both["signals"] = pl.concat([both["signals"], made["signals"].with_columns(phase=pl.lit("live"))])
    assert rebuild_account(**both, settings=SETTINGS).events == ours.events
    assert rebuild_account(**foreign, settings=SETTINGS).begun is None


@settings(max_examples=20, deadline=None)
@given(markets(), accounts())
def test_stops_are_checked_in_every_hour_whatever_the_signals_say(market: Market, account: AccountSettings) -> None:
    """With every signal gone after the first, a position ends only by its stop, take-profit or liquidation."""
    first = min(market.prices, default=NOON)
    only_first = Market(market.prices, {first: Order(1, 0.5, True)})
    book = run(only_first, account)
    left = [event.kind for event in book.events if event.quantity_eth][1:]
    assert left in ([], ["stop"], ["take_profit"], ["liquidation"])
    entry = next((event.price_usdt for event in book.events if event.kind == "open"), None)
    if entry is not None and not left:
        level = entry * (1 - account.stop_loss_share)
        assert all(known.marks.low > level for known in market.prices.values())


def test_an_hour_that_is_absent_is_passed_over_and_its_order_with_it() -> None:
    prices = hours_of(2000, 2000, 2000)
    del prices[NOON + HOUR]
    book = run(Market(prices, sides(1, 0, 1)), AccountSettings())
    assert book.state.hours == 2
    assert book.state.position_eth > 0
    assert book.state.processed_until == NOON + timedelta(hours=3)


@pytest.mark.parametrize("state", ["blocked", "degraded", "tradeable"])
def test_only_a_row_that_allows_opening_and_is_not_blocked_opens(state: str) -> None:
    """Even a blocked row that wrongly says LONG and allow_open."""
    made = rows()
    flawed = made["signals"].with_columns(state=pl.lit(state), action=pl.lit("LONG"), allow_open=pl.lit(True))
    opened = rebuild_account(**{**made, "signals": flawed}, settings=SETTINGS).state.turnover_usdt > 0
    assert opened == (state != "blocked")
    forbidden = flawed.with_columns(allow_open=pl.lit(False))
    assert rebuild_account(**{**made, "signals": forbidden}, settings=SETTINGS).state.turnover_usdt == 0
