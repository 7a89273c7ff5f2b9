"""The memory of an account: going on from it is going on from the ledger, and a wrong one is refused."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eth_pipeline.settings import AccountSettings
from eth_pipeline.trading.book import Book
from eth_pipeline.trading.memory import LATE_FUNDING_WINDOW, from_text, to_text
from eth_pipeline.trading.risk import WEEK
from eth_pipeline_tests.decision_samples import HOUR, NOON
from eth_pipeline_tests.trading_samples import Market, accounts, hours_of, markets, run, sides

ACCOUNT = AccountSettings()


@settings(max_examples=30, deadline=None)
@given(markets(), accounts(), st.integers(0, 40))
def test_going_on_from_a_memory_gives_the_same_account(market: Market, account: AccountSettings, cut: int) -> None:
    """Bit for bit: the same events, the same state, the same next memory; through the text form."""
    until, end = NOON + cut * HOUR, NOON + 50 * HOUR
    early = run(market.between(NOON, until), account)
    text, digest = to_text(early.memory())
    memory = from_text(text, digest=digest)
    assert memory == early.memory()
    later = market.between(until, end)
    resumed = run(later, account, memory=memory)
    replayed = run(later, account, ledger=early.events)
    assert resumed.events == replayed.new_events
    assert resumed.state == replayed.state
    assert resumed.memory() == replayed.memory()
    assert resumed.begun == NOON


def test_a_memory_stays_small_however_long_the_account_runs() -> None:
    """Two thousand hours with a trade in each: what no later hour can ask for is forgotten."""
    hours = 2000
    book = run(Market(hours_of(*[2000.0] * hours), sides(*[1, -1] * (hours // 2))), ACCOUNT)
    memory = book.memory()
    assert len(memory.equity) == WEEK / HOUR + 1
    assert memory.equity[0].time == NOON + hours * HOUR - WEEK
    oldest = NOON + hours * HOUR - LATE_FUNDING_WINDOW
    assert sum(time < oldest for time, _ in memory.positions) == 1


def test_a_changed_memory_is_refused() -> None:
    text, digest = to_text(run(Market(hours_of(2000, 2010), sides(1, 1)), ACCOUNT).memory())
    richer = json.loads(text)
    richer["state"]["cash_usdt"] += 1
    assert from_text(text, digest=digest) is not None
    assert from_text(json.dumps(richer), digest=digest) is None
    assert from_text(text[:-10], digest=digest) is None
    assert from_text(text, digest="") is None


def test_a_book_without_events_has_no_memory() -> None:
    with pytest.raises(ValueError, match="nothing to remember"):
        Book(settings=ACCOUNT).memory()


def test_the_peak_is_counted_from_the_setting() -> None:
    """Setting `drawdown_since` releases a drawdown; the memory says with which setting it counted."""
    market = Market(hours_of(2000, 2000, 1700, 1700), sides(1, 1, 0, 0, share=1.0))
    account = AccountSettings(max_single_share=1.0, max_total_share=1.0, stop_loss_share=0.5, max_drawdown_share=0.1)
    fallen = run(market, account)
    assert "drawdown" in [refusal.limit for refusal in fallen.risk(now=NOON + 4 * HOUR).refusals]
    released = account.model_copy(update={"drawdown_since": NOON + 3 * HOUR})
    after = Book(fallen.events, settings=released)
    assert "drawdown" not in [refusal.limit for refusal in after.risk(now=NOON + 4 * HOUR).refusals]
    assert (fallen.memory().peak_since, after.memory().peak_since) == (None, NOON + 3 * HOUR)
    assert replace(fallen.memory(), peak_equity_usdt=0, peak_since=None) == replace(
        after.memory(), peak_equity_usdt=0, peak_since=None
    )
