"""The paper account on a real lake: a ledger computed by hand, and what happens when data is missing."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from eth_pipeline.contracts.signal import Reason, ReasonCode
from eth_pipeline.contracts.tables import FUNDING_RATES, KLINES, MARK_KLINES
from eth_pipeline.lake import Lake
from eth_pipeline.operations.signal_log import SignalLog
from eth_pipeline.signals.gating.policy import judge
from eth_pipeline.trading.account import advance_account, held_share, read_events
from eth_pipeline.trading.ledger import ACCOUNT_EVENTS, EMPTY, AccountState, replay
from eth_pipeline_tests.decision_samples import HOUR, NOON, bars, funding, mark_bars, sample_settings, signal

SETTINGS = sample_settings()
BLOCKED = judge([Reason(code=ReasonCode.STREAM_STALE, subject="klines ETHUSDT", detail="2 h")], phase="paper")
Bar = tuple[float, float, float, float]


def flat(price: float) -> Bar:
    return (price, price, price, price)


class Market:
    """A lake with hours of prices from noon on, and the signals for them."""

    def __init__(self, folder: Path) -> None:
        self.lake = Lake(str(folder / "lake"))
        self.log = SignalLog(self.lake, folder=folder / "logs")

    def prices(self, *last: Bar, mark: tuple[Bar, ...] | None = None, first: datetime = NOON) -> None:
        self.lake.upsert(KLINES, bars(last, first=first))
        self.lake.upsert(MARK_KLINES, mark_bars(last if mark is None else mark, first=first))

    def signals(self, *nets: float | None) -> None:
        """One signal per hour from noon on; None is a blocked hour, 0 a HOLD."""
        self.log.write_many(
            [
                signal(SETTINGS, NOON + n * HOUR, net=net or 0.0, **({"verdict": BLOCKED} if net is None else {}))
                for n, net in enumerate(nets)
            ]
        )

    def advance(self, hours: float) -> AccountState:
        return advance_account(lake=self.lake, settings=SETTINGS, until=NOON + hours * HOUR)

    def kinds(self, *, marks: bool = False) -> list[str]:
        return [event.kind for event in read_events(self.lake, settings=SETTINGS) if marks or event.kind != "mark"]


@pytest.fixture
def market(tmp_path: Path) -> Market:
    return Market(tmp_path)


def test_a_ledger_computed_by_hand(market: Market) -> None:
    """Six hours: long at 2000, funding at 16:00, flipped at 2020, the short stopped at 2 % on the mark price."""
    stop_hour = (2025.0, 2075.0, 2020.0, 2030.0)
    last = [flat(2000), flat(2005), flat(2008), flat(2009), flat(2011), flat(2020), stop_hour]
    marks = [flat(2000), flat(2005), flat(2008), flat(2009), flat(2010), flat(2020), stop_hour]
    market.prices(*last, mark=tuple(marks))
    market.signals(60, 60, 60, 60, 60, -60, -60)
    market.lake.upsert(FUNDING_RATES, funding({NOON + 4 * HOUR: 0.0001}))
    market.lake.upsert(FUNDING_RATES, funding({NOON: 0.01}))
    state = market.advance(7)

    # long: 2000 x 1.0002; 20 % of 10,000 buys 0.999 ETH
    open_fee = 0.999 * 2000.4 * 0.0005
    funding_paid = 0.999 * 2010 * 0.0001
    # flip at 2020 x 0.9998
    close_fee = 0.999 * 2019.596 * 0.0005
    profit = 0.999 * (2019.596 - 2000.4)
    cash = 10_000 - open_fee - funding_paid - close_fee + profit
    assert cash == pytest.approx(10_016.968017, abs=1e-6)
    # short: 20 % of 10,016.97 sells 0.991 ETH; stopped at 2019.596 x 1.02 on the mark, bought 2 bps above
    short_fee = 0.991 * 2019.596 * 0.0005
    bought = 2059.98792 * 1.0002
    stop_fee = 0.991 * bought * 0.0005
    loss = 0.991 * (2019.596 - bought)
    expected = [
        ("deposit", 0.0, None, 10_000.0),
        ("open", 0.999, 2000.4, 0.0),
        ("fee", 0.0, 2000.4, -open_fee),
        ("mark", 0.0, 2000.0, 0.0),
        ("mark", 0.0, 2005.0, 0.0),
        ("mark", 0.0, 2008.0, 0.0),
        ("mark", 0.0, 2009.0, 0.0),
        ("funding", 0.0, 2010.0, -funding_paid),
        ("mark", 0.0, 2010.0, 0.0),
        ("fee", 0.0, 2019.596, -close_fee),
        ("close", -0.999, 2019.596, profit),
        ("open", -0.991, 2019.596, 0.0),
        ("fee", 0.0, 2019.596, -short_fee),
        ("mark", 0.0, 2020.0, 0.0),
        ("fee", 0.0, bought, -stop_fee),
        ("stop", 0.991, bought, loss),
        ("mark", 0.0, 2030.0, 0.0),
    ]
    events = read_events(market.lake, settings=SETTINGS)
    found = [(e.kind, e.quantity_eth, e.price_usdt, e.cash_change_usdt) for e in events]
    assert [event[0] for event in found] == [event[0] for event in expected]
    for ours, by_hand in zip(found, expected, strict=True):
        assert ours[1:] == pytest.approx(by_hand[1:], abs=1e-9)
    assert state.equity_usdt == pytest.approx(cash - short_fee - stop_fee + loss)
    assert (state.closed_trades, state.wins, state.position_eth) == (2, 1, 0)
    assert state.fees_usdt == pytest.approx(open_fee + close_fee + short_fee + stop_fee)
    assert state.funding_usdt == pytest.approx(-funding_paid)
    assert state.processed_until == NOON + 7 * HOUR
    assert replay(events) == state


def test_running_twice_adds_nothing(market: Market) -> None:
    market.prices(flat(2000), flat(2010))
    market.signals(60, 60)
    first = market.advance(2)
    version = market.lake.version(ACCOUNT_EVENTS)
    assert market.advance(2) == first
    assert market.lake.version(ACCOUNT_EVENTS) == version


def test_hour_by_hour_through_the_lake_equals_at_once(tmp_path: Path) -> None:
    ledgers = []
    for name, steps in (("at_once", (5,)), ("stepwise", (0, 1, 1.5, 2, 3, 4, 5))):
        market = Market(tmp_path / name)
        market.prices(flat(2000), flat(2010), (2010, 2011, 1900, 1950), flat(1950), flat(1960))
        market.signals(60, 60, 60, -60, 0)
        market.lake.upsert(FUNDING_RATES, funding({NOON + HOUR: 0.0003, NOON + 4 * HOUR: -0.0002}))
        for step in steps:
            market.advance(step)
        ledgers.append(market.lake.read(ACCOUNT_EVENTS))
    assert ledgers[0].equals(ledgers[1])


def test_an_unfinished_hour_is_not_filled(market: Market) -> None:
    market.prices(flat(2000))
    market.signals(60)
    assert market.advance(0.99).position_eth == 0
    assert market.kinds(marks=True) == ["deposit"]
    assert market.advance(1).position_eth > 0


def test_before_the_first_signal_there_is_no_account(market: Market) -> None:
    market.prices(flat(2000))
    assert market.advance(1) == EMPTY
    assert market.lake.version(ACCOUNT_EVENTS) is None


def test_a_blocked_hour_opens_nothing_and_closes_what_is_open(market: Market) -> None:
    market.prices(*[flat(2000)] * 4)
    market.signals(None, 60, None, None)
    assert market.advance(1).position_eth == 0
    assert market.advance(2).position_eth > 0
    assert market.advance(4).position_eth == 0
    assert market.kinds() == ["deposit", "open", "fee", "fee", "close"]


def test_a_hold_closes_and_the_same_direction_keeps_the_position_as_it_is(market: Market) -> None:
    market.prices(*[flat(2000)] * 4)
    market.signals(60, 12, 60, 0)
    market.advance(4)
    assert market.kinds() == ["deposit", "open", "fee", "fee", "close"]


def test_stops_are_checked_in_hours_without_any_signal(market: Market) -> None:
    """The reviewed system did not check stops when data was stale."""
    market.prices(flat(2000), flat(2000), (2000, 2000, 1900, 1950))
    market.signals(60)
    assert market.advance(3).position_eth == 0
    assert market.kinds()[-2:] == ["fee", "stop"]


def test_a_last_price_spike_does_not_stop_but_the_mark_price_does(market: Market) -> None:
    """On 2020-03-13 the ETH perpetual printed 323 while its mark high was 119."""
    spike = (2000.0, 2000.0, 900.0, 2000.0)
    market.prices(flat(2000), spike, mark=(flat(2000), flat(2000)))
    market.signals(60, 60)
    assert market.advance(2).position_eth > 0


def test_without_a_mark_bar_the_last_price_guards_and_the_event_says_so(market: Market) -> None:
    market.lake.upsert(KLINES, bars([flat(2000), (2000, 2000, 1900, 1950)], first=NOON))
    market.signals(60, 60)
    assert market.advance(2).position_eth == 0
    stop = read_events(market.lake, settings=SETTINGS)[-2]
    assert (stop.kind, stop.note) == ("stop", "no mark price bar: last price used")


def test_without_a_last_price_bar_the_mark_price_fills(market: Market) -> None:
    market.lake.upsert(MARK_KLINES, mark_bars([flat(2000)], first=NOON))
    market.signals(60)
    market.advance(1)
    opened = read_events(market.lake, settings=SETTINGS)[1]
    assert (opened.price_usdt, opened.note) == (pytest.approx(2000.4), "no last price bar: mark price used")


def test_an_hour_without_prices_waits_and_is_passed_over_once_a_later_one_is_known(market: Market) -> None:
    market.prices(flat(2000))
    market.signals(60, 60, 0)
    assert market.advance(3).processed_until == NOON + HOUR
    market.prices(flat(2050), first=NOON + 2 * HOUR)
    state = market.advance(3)
    assert (state.processed_until, state.hours, state.position_eth) == (NOON + 3 * HOUR, 2, 0)


def test_funding_at_the_hour_is_charged_to_the_position_held_until_then(market: Market) -> None:
    market.prices(*[flat(2000)] * 3)
    market.signals(60, 0, 0)
    rates = {NOON: 0.01, NOON + HOUR: 0.0001, NOON + 2 * HOUR: 0.01}
    market.lake.upsert(FUNDING_RATES, funding(rates))
    assert market.advance(3).funding_usdt == pytest.approx(-0.999 * 2000 * 0.0001)


def test_shorts_are_paid_positive_funding(market: Market) -> None:
    market.prices(*[flat(2000)] * 2)
    market.signals(-60, -60)
    market.lake.upsert(FUNDING_RATES, funding({NOON + HOUR: 0.0001}))
    assert market.advance(2).funding_usdt == pytest.approx(1.0 * 2000 * 0.0001)


def test_a_settlement_that_is_known_late_is_charged_once_and_says_so(market: Market) -> None:
    """The archive publishes funding monthly; the hour it belongs to is long processed by then."""
    market.prices(*[flat(2000)] * 4)
    market.signals(60, 60, 0, 0)
    market.lake.upsert(FUNDING_RATES, funding({NOON + HOUR: 0.0001}, late=timedelta(hours=2, minutes=30)))
    assert market.advance(3).funding_usdt == 0
    assert market.advance(4).funding_usdt == pytest.approx(-0.999 * 2000 * 0.0001)
    assert market.advance(4).funding_usdt == pytest.approx(-0.999 * 2000 * 0.0001)
    (event,) = [e for e in read_events(market.lake, settings=SETTINGS) if e.kind == "funding"]
    assert event.event_time == NOON + HOUR
    assert event.note.startswith("known late")


def test_a_record_written_after_its_hour_is_no_order(market: Market) -> None:
    """Nobody can trade at the price of an hour ago."""
    market.prices(flat(2000), flat(2000))
    market.log.write(signal(SETTINGS, NOON, net=60, emitted_at=NOON + HOUR))
    assert market.advance(2).position_eth == 0
    assert market.kinds() == ["deposit"]


def test_fifteen_minute_bars_are_processed_by_the_hour(tmp_path: Path) -> None:
    settings = sample_settings(base_interval="15m")
    lake = Lake(str(tmp_path / "lake"))
    quarter = [flat(2000), (2000, 2000, 1950, 1990), flat(1990), flat(1990)]
    lake.upsert(KLINES, bars(quarter, first=NOON, interval="15m"))
    lake.upsert(MARK_KLINES, mark_bars(quarter, first=NOON, interval="15m"))
    SignalLog(lake, folder=tmp_path / "logs").write(signal(settings))
    assert advance_account(lake=lake, settings=settings, until=NOON + HOUR).closed_trades == 1


def test_the_held_share_is_signed_and_valued_at_the_mark(market: Market) -> None:
    market.prices(flat(2000), flat(2000))
    market.signals(-60, 0)
    assert held_share(market.lake, settings=SETTINGS, mark_price=2000.0) is None
    market.advance(1)
    share = held_share(market.lake, settings=SETTINGS, mark_price=2100.0)
    entry = 2000 * 0.9998
    equity = 10_000 - 1.0 * entry * 0.0005 - 1.0 * (2100 - entry)
    assert share == pytest.approx(-1.0 * 2100 / equity)
    market.advance(2)
    assert held_share(market.lake, settings=SETTINGS, mark_price=2000.0) is None
