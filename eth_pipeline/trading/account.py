"""The paper account as a step: closed hours and signals of the lake become ledger events.

Belongs here: continuing the account to an instant, asking where it stands. Does not belong: the course of an hour
(`timeline`), reading rows (`hours`), storing them (`storage`).
"""

from datetime import datetime

from eth_pipeline.contracts.clock import require_utc
from eth_pipeline.lake import Lake
from eth_pipeline.settings import Settings
from eth_pipeline.trading.hours import first_signal, hour_prices, orders, settlements
from eth_pipeline.trading.ledger import ACCOUNT_EVENTS, EMPTY, AccountState
from eth_pipeline.trading.memory import LATE_FUNDING_WINDOW
from eth_pipeline.trading.performance import performance
from eth_pipeline.trading.risk import RiskVerdict
from eth_pipeline.trading.storage import append, read_book, read_events
from eth_pipeline.trading.timeline import open_account, process_hours

__all__ = ["account_risk", "advance_account", "held_share", "performance", "process_hours", "read_events"]


def advance_account(*, lake: Lake, settings: Settings, until: datetime) -> AccountState:
    """Process every closed hour up to `until` that the ledger does not hold yet, and return the account.

    Running it twice adds nothing: an hour is in the ledger or not, and all events of one call are one commit.
    Processing hour by hour and processing at once give the same ledger, where the bars came in time. A step costs what
    is new, not what the account has lived through (`storage`).

    Args:
        lake: bars, funding, signals; the ledger is written there.
        settings: symbol, phase, base interval, account settings.
        until: exchange time; rows that were not known by then do not count.

    Returns:
        The account after the newest processed hour; an empty one before the first signal.
    """
    until = require_utc(until)
    book = read_book(lake, settings=settings)
    if book.begun is None:
        begin = first_signal(lake, settings=settings)
        if begin is None:
            return EMPTY
        book, provenance = open_account(settings.account, at=begin[0]), begin[1]
    else:
        provenance = lake.provenance(ACCOUNT_EVENTS)
    begun = book.begun
    assert begun is not None, "an open account has its deposit"
    first = book.state.processed_until or begun
    process_hours(
        book,
        prices=hour_prices(lake, settings=settings, first=first, until=until),
        wanted=orders(lake, settings=settings, first=first, until=until),
        due=settlements(lake, settings=settings, first=max(begun, first - LATE_FUNDING_WINDOW), until=until),
    )
    append(lake, book, settings=settings, provenance=provenance)
    return book.state


def held_share(lake: Lake, *, settings: Settings, mark_price: float | None) -> float | None:
    """Signed share of equity that the account holds, positive for long; None where it is flat.

    Args:
        mark_price: USDT per coin; the ledger's newest price without it.
    """
    return read_book(lake, settings=settings).held_share(mark_price)


def account_risk(lake: Lake, *, settings: Settings, now: datetime, kill_switch: str | None) -> RiskVerdict:
    """Whether the account may open at `now`, and every limit that forbids it; nothing forbids closing.

    Args:
        now: the decision time, after the account was advanced to it.
        kill_switch: why it was pulled (`signals.gating.kill_switch.why`); None while it is off.
    """
    book = read_book(lake, settings=settings)
    if book.begun is None:
        book = open_account(settings.account, at=now)
    return book.risk(now=now, kill_switch=kill_switch)
