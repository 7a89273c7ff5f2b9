"""The base strategy: finite windows, bounded scores, and families that say what their name says."""

import numpy as np
import polars as pl
import pytest

from eth_pipeline.signals.technical.bollinger import bollinger_parts
from eth_pipeline.signals.technical.candlesticks import candlestick_parts
from eth_pipeline.signals.technical.divergence import divergence_parts
from eth_pipeline.signals.technical.kdj_rsi import kdj, relative_strength_index
from eth_pipeline.signals.technical.moving_averages import moving_average_parts
from eth_pipeline.signals.technical.parts import Family, in_words, total
from eth_pipeline.signals.technical.strategy import FAMILIES, WINDOW_BARS, score_bars, score_history, score_timeframe
from eth_pipeline.signals.technical.volume_price import volume_price_parts
from eth_pipeline.signals.technical.windows import Candles, Floats
from eth_pipeline_tests.decision_samples import NOON, bars, walk

HISTORY = bars(walk(400), first=NOON)


def _score(family: Family, candles: Candles) -> Floats:
    return total(family(candles))


def _line(closes: np.ndarray, volume: float = 100.0) -> Candles:
    opens = np.concatenate([closes[:1], closes[:-1]])
    return Candles(
        opens, np.maximum(opens, closes) + 1, np.minimum(opens, closes) - 1, closes, np.full(len(closes), volume)
    )


def test_the_last_row_of_a_tail_is_bit_equal_to_the_same_row_of_the_history() -> None:
    """The hourly run and the backfill must be the same strategy, wherever the history starts."""
    whole = score_history(HISTORY)
    for row in (WINDOW_BARS, 200, 399):
        newest = score_timeframe(HISTORY.head(row + 1), timeframe="1h")
        assert newest is not None
        assert newest == score_bars(HISTORY, timeframe="1h").at(row), "reasons and all"
        assert newest.components == {name: whole[name][row] for name in FAMILIES}
        assert (newest.buy_score, newest.sell_score) == (whole["buy_score"][row], whole["sell_score"][row])


def test_later_bars_never_change_an_earlier_score() -> None:
    shorter = score_history(HISTORY.head(300))
    assert shorter.equals(score_history(HISTORY).head(300))


def test_half_a_window_gives_no_score() -> None:
    assert score_timeframe(HISTORY.head(WINDOW_BARS - 1), timeframe="4h") is None
    assert score_timeframe(HISTORY.head(WINDOW_BARS), timeframe="4h") is not None


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("drift", [-0.01, 0.0, 0.01])
def test_every_family_stays_within_a_hundred_and_is_known_after_its_window(name: str, drift: float) -> None:
    values = _score(FAMILIES[name], Candles.from_frame(bars(walk(300, seed=5, drift=drift), first=NOON)))[
        WINDOW_BARS - 1 :
    ]
    assert np.isfinite(values).all()
    assert np.abs(values).max() <= 100
    assert np.abs(values).max() > 0


@pytest.mark.parametrize("name", FAMILIES)
def test_a_market_that_stands_still_scores_zero(name: str) -> None:
    still = np.full(WINDOW_BARS, 2000.0)
    assert _score(FAMILIES[name], Candles(still, still, still, still, np.zeros(WINDOW_BARS)))[-1] == 0


def test_buy_and_sell_are_the_mean_positive_and_negative_parts() -> None:
    newest = score_timeframe(HISTORY, timeframe="1h")
    assert newest is not None
    values = list(newest.components.values())
    assert newest.buy_score == pytest.approx(sum(v for v in values if v > 0) / len(values))
    assert newest.buy_score - newest.sell_score == pytest.approx(sum(values) / len(values))


def test_moving_averages_follow_a_trend() -> None:
    assert _score(moving_average_parts, _line(np.linspace(1000, 2000, 80)))[-1] > 90
    assert _score(moving_average_parts, _line(np.linspace(2000, 1000, 80)))[-1] < -90


def test_a_higher_high_on_weaker_momentum_is_a_bearish_divergence() -> None:
    surge = np.concatenate([np.full(40, 1000.0), np.linspace(1000, 1200, 15), np.linspace(1200, 1205, 18)])
    assert _score(divergence_parts, _line(surge))[-1] < 0
    assert _score(divergence_parts, _line(2200 - surge))[-1] > 0


def test_a_bullish_engulfing_bar_and_a_hammer_after_a_fall_buy() -> None:
    fall = [(2100.0 - 5 * n, 2101.0 - 5 * n, 2094.0 - 5 * n, 2095.0 - 5 * n) for n in range(20)]
    last = fall[-1][3]
    engulfing = (last - 1, last + 12, last - 2, last + 11)
    hammer = (last, last + 1, last - 12, last + 0.5)
    plain = (last, last + 1, last - 1, last + 0.5)
    scores = [
        _score(candlestick_parts, Candles.from_frame(bars([*fall, bar], first=NOON)))[-1]
        for bar in (engulfing, hammer, plain)
    ]
    assert scores[0] > 40
    assert scores[1] > scores[2] + 35


def test_a_steady_band_is_faded_and_an_opening_one_followed() -> None:
    steady = 2000 + 10 * np.sin(np.arange(60) * 1.7)
    steady[-1] = 2018
    assert _score(bollinger_parts, _line(steady))[-1] < 0
    breakout = 2000 + np.sin(np.arange(60) * 1.7)
    breakout[-3:] = (2010, 2020, 2030)
    assert _score(bollinger_parts, _line(breakout))[-1] > 0


def test_volume_behind_rising_bars_buys() -> None:
    closes = 2000 + np.tile([0.0, 5.0], 20).astype(float)
    candles = _line(closes)
    rising = np.diff(closes, prepend=closes[0]) > 0
    heavy = Candles(candles.open, candles.high, candles.low, closes, np.where(rising, 300.0, 50.0))
    assert _score(volume_price_parts, heavy)[-1] > 30
    assert abs(_score(volume_price_parts, candles)[-1]) < 5


def test_rsi_and_stochastic_agree_with_a_plain_reading_of_their_definitions() -> None:
    close, high, low = (HISTORY[name].to_list() for name in ("close", "high", "low"))
    moves = [b - a for a, b in zip(close[-13:], close[-12:], strict=False)]
    gain, loss = sum(m for m in moves if m > 0), -sum(m for m in moves if m < 0)
    assert relative_strength_index(HISTORY["close"].to_numpy(), 12)[-1] == pytest.approx(100 * gain / (gain + loss))

    def raw(end: int) -> float:
        lowest, highest = min(low[end - 9 : end]), max(high[end - 9 : end])
        return 100 * (close[end - 1] - lowest) / (highest - lowest)

    def k(end: int) -> float:
        return sum(raw(end - back) for back in range(3)) / 3

    d = sum(k(400 - back) for back in range(3)) / 3
    ours = [values[-1] for values in kdj(Candles.from_frame(HISTORY))]
    assert ours == pytest.approx([k(400), d, 3 * k(400) - 2 * d])


def test_an_empty_history_has_no_scores() -> None:
    assert score_history(HISTORY.head(0)).is_empty()
    assert isinstance(score_history(HISTORY.head(3)), pl.DataFrame)


def test_a_bar_without_a_volume_figure_has_no_score_while_it_is_in_the_window() -> None:
    """Aggregated volume is null where a part has none; that bar once failed the whole hour."""
    hole = HISTORY.with_columns(volume=pl.when(pl.col("close_time") != HISTORY["close_time"][395]).then("volume"))
    assert score_timeframe(hole, timeframe="1h") is None
    assert score_timeframe(hole.head(395), timeframe="1h") is not None


@pytest.mark.parametrize("name", FAMILIES)
def test_the_reason_of_a_score_is_made_of_the_same_points(name: str) -> None:
    parts = FAMILIES[name](Candles.from_frame(HISTORY))
    for row in range(WINDOW_BARS, 400, 7):
        said = [float(word) for word in in_words(parts, row).replace(",", "").split() if word[0] in "+-"]
        assert sum(said) == pytest.approx(sum(part.points[row] for part in parts), abs=0.5 * len(parts) + 0.5)
        assert said == sorted(said, key=lambda points: -abs(points)), "the weightiest first"


def test_a_reason_says_what_was_seen() -> None:
    line = [(price, price + 1, price - 1, price) for price in np.linspace(1000, 2000, 90)]
    rising = score_bars(bars(line, first=NOON), timeframe="1h").at(-1)
    assert rising is not None
    assert rising.reasons["moving_averages"] == (
        "averages in rising order +40, close above its average +30, average rising +30"
    )
    assert rising.reasons["divergence"] == "nothing"
    assert rising.reasons["kdj_rsi"].startswith("RSI high -50")
