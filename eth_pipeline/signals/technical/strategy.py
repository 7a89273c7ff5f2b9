"""The base strategy of one timeframe: six indicator families, scored for every closed bar at once.

Belongs here: the list of families and how they become buy and sell scores. Does not belong: the indicators
(one module each), several timeframes (`consensus`), model forecasts (`signals.decision`).

Every family uses finite windows of at most `WINDOW_BARS` bars, so one tail of that length gives exactly the
row that the whole history gives: the hourly run and the rebuild share this code.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

import numpy as np
import polars as pl

from eth_pipeline.contracts.signal import TimeframeScore
from eth_pipeline.signals.technical.bollinger import bollinger_parts
from eth_pipeline.signals.technical.candlesticks import candlestick_parts
from eth_pipeline.signals.technical.divergence import divergence_parts
from eth_pipeline.signals.technical.kdj_rsi import oscillator_parts
from eth_pipeline.signals.technical.moving_averages import moving_average_parts
from eth_pipeline.signals.technical.parts import Family, Part, in_words, total
from eth_pipeline.signals.technical.volume_price import volume_price_parts
from eth_pipeline.signals.technical.windows import Candles, Floats

WINDOW_BARS = 80

FAMILIES: MappingProxyType[str, Family] = MappingProxyType(
    {
        "divergence": divergence_parts,
        "moving_averages": moving_average_parts,
        "candlesticks": candlestick_parts,
        "bollinger": bollinger_parts,
        "volume_price": volume_price_parts,
        "kdj_rsi": oscillator_parts,
    }
)


@dataclass(frozen=True)
class ScoredBars:
    """Closed bars of one timeframe with the parts and scores of every family; arrays of shape [bars]."""

    timeframe: str
    close_times: tuple[datetime, ...]
    parts: Mapping[str, tuple[Part, ...]]
    scores: Mapping[str, Floats]
    buy_score: Floats
    sell_score: Floats

    def at(self, row: int) -> TimeframeScore | None:
        """The score of one bar with its reasons.

        None where fewer than `WINDOW_BARS` bars end there (half a window would be another strategy), or where a bar
        of the window has no volume figure.
        """
        row = row % len(self.close_times) if self.close_times else 0
        if row < WINDOW_BARS - 1 or not np.isfinite(self.buy_score[row]):
            return None
        return TimeframeScore(
            timeframe=self.timeframe,
            close_time=self.close_times[row],
            buy_score=float(self.buy_score[row]),
            sell_score=float(self.sell_score[row]),
            components={name: float(values[row]) for name, values in self.scores.items()},
            reasons={name: in_words(parts, row) for name, parts in self.parts.items()},
        )


def score_bars(bars: pl.DataFrame, *, timeframe: str) -> ScoredBars:
    """Score every bar of `bars`: one symbol, one timeframe, closed, oldest first.

    Args:
        bars: with `close_time`, prices and `volume`.
        timeframe: its name, for the record, for example `4h`.
    """
    candles = Candles.from_frame(bars)
    parts = {name: family(candles) for name, family in FAMILIES.items()}
    scores = {name: total(found) for name, found in parts.items()}
    stacked = np.stack(list(scores.values()))
    return ScoredBars(
        timeframe=timeframe,
        close_times=tuple(bars["close_time"]),
        parts=parts,
        scores=scores,
        buy_score=np.maximum(stacked, 0).sum(axis=0) / len(FAMILIES),
        sell_score=np.maximum(-stacked, 0).sum(axis=0) / len(FAMILIES),
    )


def score_history(bars: pl.DataFrame) -> pl.DataFrame:
    """Family scores of every bar, as a table.

    Args:
        bars: one symbol, one timeframe, closed bars, oldest first.

    Returns:
        `close_time`, one column per family (-100..100, null until its window is full), `buy_score` and
        `sell_score` (0-100): the mean of the families' positive and negative parts.
    """
    scored = score_bars(bars, timeframe="")
    columns = {**scored.scores, "buy_score": scored.buy_score, "sell_score": scored.sell_score}
    return bars.select("close_time").with_columns(
        pl.Series(name, values).fill_nan(None) for name, values in columns.items()
    )


def score_timeframe(bars: pl.DataFrame, *, timeframe: str) -> TimeframeScore | None:
    """Score the newest bar of `bars` (one symbol, one timeframe, closed, oldest first).

    Args:
        bars: only the newest `WINDOW_BARS` rows are looked at; with fewer there is no score.
        timeframe: its name, for the record, for example `4h`.
    """
    return score_bars(bars.tail(WINDOW_BARS), timeframe=timeframe).at(-1)
