"""Risk limits: what forbids opening, when it is released, and that nothing forbids closing."""

from datetime import timedelta

import pytest

from eth_pipeline.settings import AccountSettings
from eth_pipeline.trading.risk import EquityPoint, RiskVerdict, judge_risk, newest_at
from eth_pipeline_tests.decision_samples import HOUR, NOON

SETTINGS = AccountSettings()


def judge(
    *equity: float, peak: float | None = None, kill_switch: str | None = None, settings: AccountSettings = SETTINGS
) -> RiskVerdict:
    """At the end of hours with these equities."""
    history = [EquityPoint(NOON + n * HOUR, value) for n, value in enumerate(equity)]
    return judge_risk(
        now=history[-1].time if history else NOON,
        equity_usdt=equity[-1] if equity else 10_000.0,
        peak_equity_usdt=max(equity, default=0.0) if peak is None else peak,
        history=history,
        kill_switch=kill_switch,
        settings=settings,
    )


def limits(verdict: RiskVerdict) -> list[str]:
    return [refusal.limit for refusal in verdict.refusals]


def test_a_young_account_and_a_winning_one_may_open() -> None:
    assert judge().allow_open
    assert judge(10_000.0, 10_400.0).allow_open
    assert judge(10_000.0, 10_400.0).reason == ""


@pytest.mark.parametrize(("equity", "refused"), [(9_500.01, []), (9_500.0, ["daily_loss"]), (9_400.0, ["daily_loss"])])
def test_the_daily_limit_counts_the_loss_of_24_hours(equity: float, refused: list[str]) -> None:
    assert limits(judge(10_000.0, equity)) == refused


def test_a_loss_of_exactly_its_limit_is_refused() -> None:
    """A quarter is exact in binary; 5 % of 10,000 is not, and lies a hair beyond its limit."""
    quarter = AccountSettings(max_daily_loss_share=0.25, max_weekly_loss_share=1.0, max_drawdown_share=1.0)
    assert limits(judge(10_000.0, 7_500.0, settings=quarter)) == ["daily_loss"]
    assert limits(judge(10_000.0, 7_501.0, settings=quarter)) == []


def test_the_sentence_has_the_loss_its_begin_and_the_limit() -> None:
    verdict = judge(10_000.0, 9_400.0)
    assert verdict.reason == (
        "the account lost 6.00% in 24 hours, from 10,000.00 USDT at 2025-03-03T12:00:00Z to 9,400.00; limit 5%"
    )


def test_the_window_rolls_so_midnight_gives_no_second_allowance() -> None:
    """With calendar days 4.9 % could be lost before midnight and 4.9 % after it."""
    hourly = [10_000.0] * 10 + [9_600.0] * 5 + [9_300.0]
    assert limits(judge(*hourly)) == ["daily_loss"]


def test_a_loss_that_left_its_window_is_released() -> None:
    assert limits(judge(10_000.0, *[9_400.0] * 24)) == ["daily_loss"]
    assert judge(10_000.0, *[9_400.0] * 25).allow_open


def test_slow_losses_meet_the_weekly_limit_and_the_drawdown() -> None:
    slow = [10_000.0 - n * 6 for n in range(169)]
    assert limits(judge(*slow)) == ["weekly_loss"]
    slower = [20_000.0 - n * 8 for n in range(400)]
    assert limits(judge(*slower)) == ["drawdown"]


def test_a_drawdown_is_not_released_by_time() -> None:
    """An account that opens nothing never recovers; a person sets `drawdown_since`."""
    verdict = judge(*[8_500.0] * 500, peak=10_000.0)
    assert limits(verdict) == ["drawdown"]
    assert "drawdown_since" in verdict.reason


def test_the_kill_switch_and_an_empty_account_forbid_opening() -> None:
    assert judge(10_000.0, kill_switch="maintenance").reason == "the kill switch is pulled: maintenance"
    assert "no_equity" in limits(judge(10_000.0, -1.0))


def test_every_limit_that_is_met_is_named_and_closing_stays_allowed() -> None:
    verdict = judge(10_000.0, 8_000.0, kill_switch="x")
    assert limits(verdict) == ["kill_switch", "daily_loss", "weekly_loss", "drawdown"]
    assert not verdict.allow_open
    assert verdict.allow_close


@pytest.mark.parametrize("name", ["max_daily_loss_share", "max_weekly_loss_share", "max_drawdown_share"])
def test_each_limit_is_a_setting_that_changes_the_verdict(name: str) -> None:
    free = {"max_daily_loss_share": 1.0, "max_weekly_loss_share": 1.0, "max_drawdown_share": 1.0}
    assert judge(10_000.0, 7_000.0, settings=AccountSettings(**free)).allow_open
    assert len(judge(10_000.0, 7_000.0, settings=AccountSettings(**{**free, name: 0.2})).refusals) == 1


def test_the_newest_point_is_at_or_before_an_instant() -> None:
    history = [EquityPoint(NOON + n * HOUR, float(n)) for n in range(3)]
    assert newest_at(history, NOON + HOUR) == history[1]
    assert newest_at(history, NOON + HOUR - timedelta(microseconds=1)) == history[0]
    assert newest_at(history, NOON - HOUR) == history[0]
    assert newest_at([], NOON) is None
