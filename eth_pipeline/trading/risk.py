"""Hard limits: when the account may open nothing, and the sentence that says why.

Belongs here: the loss and drawdown limits on the equity history, in event time. Does not belong: how large a
position is (`signals.sizing.size`), stops (`fills`), whether the data is good enough to trade (the gate's verdict).

The windows roll: "daily" is the last 24 hours and "weekly" the last 168, not calendar days. With calendar days
the whole limit can be lost at 23:59 and again at 00:01. A window limit releases itself when the loss has left the
window; the drawdown limit does not, because an account that opens nothing never recovers: a person reviews it and
sets `drawdown_since`, which is a recorded change of the configuration.
"""

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from eth_pipeline.contracts.clock import iso
from eth_pipeline.contracts.wording import details
from eth_pipeline.settings import AccountSettings

Limit = Literal["kill_switch", "no_equity", "daily_loss", "weekly_loss", "drawdown"]
DAY, WEEK = timedelta(hours=24), timedelta(hours=168)


class EquityPoint(NamedTuple):
    """Equity at the end of one processed hour."""

    time: datetime
    equity_usdt: float


class Refusal(NamedTuple):
    """One limit that forbids opening: its name for machines, a sentence for people."""

    limit: Limit
    sentence: str


@dataclass(frozen=True)
class RiskVerdict:
    """Whether the account may open, and every limit that forbids it; closing is always allowed."""

    refusals: tuple[Refusal, ...] = ()

    @property
    def allow_open(self) -> bool:
        """No limit is met."""
        return not self.refusals

    @property
    def allow_close(self) -> bool:
        """Always: a limit that keeps a losing position open protects nobody."""
        return True

    @property
    def reason(self) -> str:
        """All sentences in one line; empty when opening is allowed."""
        return "; ".join(refusal.sentence for refusal in self.refusals)


def judge_risk(
    *,
    now: datetime,
    equity_usdt: float,
    peak_equity_usdt: float,
    history: Sequence[EquityPoint],
    kill_switch: str | None,
    settings: AccountSettings,
) -> RiskVerdict:
    """May the account open at `now`?

    Args:
        now: event time of the order; points after it are not looked at.
        equity_usdt: equity before the order.
        peak_equity_usdt: highest equity until now, since `settings.drawdown_since` where that is set.
        history: equity by the hour, oldest first; the last 168 hours are enough. Where the account is younger than
            a window, its oldest point is the window's start.
        kill_switch: why it was pulled; None while it is off.
        settings: the limits.
    """
    refusals = []
    if kill_switch is not None:
        refusals.append(Refusal("kill_switch", details.KILL_SWITCH_PULLED(why=kill_switch)))
    if equity_usdt <= 0:
        refusals.append(Refusal("no_equity", details.NO_EQUITY(equity=equity_usdt)))
    windows: tuple[tuple[Limit, timedelta, float], ...] = (
        ("daily_loss", DAY, settings.max_daily_loss_share),
        ("weekly_loss", WEEK, settings.max_weekly_loss_share),
    )
    for limit, window, allowed in windows:
        refusals += _loss(limit, window, allowed, now=now, equity_usdt=equity_usdt, history=history)
    fall = 1 - equity_usdt / peak_equity_usdt if peak_equity_usdt > 0 else 0.0
    if fall >= settings.max_drawdown_share:
        sentence = details.DRAWDOWN(fall=fall, peak=peak_equity_usdt, limit=settings.max_drawdown_share)
        refusals.append(Refusal("drawdown", sentence))
    return RiskVerdict(tuple(refusals))


def newest_at(history: Sequence[EquityPoint], instant: datetime) -> EquityPoint | None:
    """The newest point at or before `instant`; the oldest one where all are later; None without any."""
    if not history:
        return None
    return history[max(bisect.bisect_right(history, instant, key=lambda point: point.time) - 1, 0)]


def _loss(
    limit: Limit,
    window: timedelta,
    allowed: float,
    *,
    now: datetime,
    equity_usdt: float,
    history: Sequence[EquityPoint],
) -> list[Refusal]:
    begin = newest_at(history, now - window)
    if begin is None or begin.time > now or begin.equity_usdt <= 0:
        return []
    lost = 1 - equity_usdt / begin.equity_usdt
    if lost < allowed:
        return []
    sentence = details.LOSS(
        lost=lost,
        hours=int(window / timedelta(hours=1)),
        before=begin.equity_usdt,
        since=iso(begin.time),
        equity=equity_usdt,
        limit=allowed,
    )
    return [Refusal(limit, sentence)]
