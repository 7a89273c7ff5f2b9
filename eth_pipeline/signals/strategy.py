"""The base strategy of one timeframe: six indicator families, each a score of the newest closed bar.

Belongs here: the list of families and how they become buy and sell scores. Does not belong: the indicators
(one module each), several timeframes (`consensus`), model forecasts (`decision`).

Every family uses finite windows of at most `WINDOW_BARS` bars, so one tail of that length gives exactly the
row that the whole history gives.
"""

from types import MappingProxyType

import numpy as np
import polars as pl

from eth_pipeline.contracts.signal import TimeframeScore
from eth_pipeline.signals.bollinger import bollinger_score
from eth_pipeline.signals.candlesticks import candlestick_score
from eth_pipeline.signals.divergence import divergence_score
from eth_pipeline.signals.kdj_rsi import oscillator_score
from eth_pipeline.signals.moving_averages import moving_average_score
from eth_pipeline.signals.volume_price import volume_price_score
from eth_pipeline.signals.windows import Candles, Family

WINDOW_BARS = 80

FAMILIES: MappingProxyType[str, Family] = MappingProxyType(
    {
        "divergence": divergence_score,
        "moving_averages": moving_average_score,
        "candlesticks": candlestick_score,
        "bollinger": bollinger_score,
        "volume_price": volume_price_score,
        "kdj_rsi": oscillator_score,
    }
)


def score_history(bars: pl.DataFrame) -> pl.DataFrame:
    """Family scores of every bar: for backfills, which must agree with the hourly run.

    Args:
        bars: one symbol, one timeframe, closed bars, oldest first.

    Returns:
        `close_time`, one column per family (-100..100, null until its window is full), `buy_score` and
        `sell_score` (0-100): the mean of the families' positive and negative parts.
    """
    candles = Candles.from_frame(bars)
    scores = {name: family(candles) for name, family in FAMILIES.items()}
    stacked = np.stack(list(scores.values()))
    columns = {
        **scores,
        "buy_score": np.maximum(stacked, 0).sum(axis=0) / len(FAMILIES),
        "sell_score": np.maximum(-stacked, 0).sum(axis=0) / len(FAMILIES),
    }
    return bars.select("close_time").with_columns(
        pl.Series(name, values).fill_nan(None) for name, values in columns.items()
    )


def score_timeframe(bars: pl.DataFrame, *, timeframe: str) -> TimeframeScore | None:
    """Score the newest bar of `bars` (one symbol, one timeframe, closed, oldest first).

    Args:
        bars: only the newest `WINDOW_BARS` rows are looked at.
        timeframe: its name, for the record, for example `4h`.

    Returns:
        None where there are fewer than `WINDOW_BARS` bars: half a window would be another strategy.
    """
    if bars.height < WINDOW_BARS:
        return None
    newest = score_history(bars.tail(WINDOW_BARS)).row(-1, named=True)
    return TimeframeScore(
        timeframe=timeframe,
        close_time=newest["close_time"],
        buy_score=newest["buy_score"],
        sell_score=newest["sell_score"],
        components={name: newest[name] for name in FAMILIES},
    )
