"""The consensus of a whole span equals that of each hour alone, wherever the history starts and whatever is missing."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from eth_pipeline.contracts.signal import ConsensusSnapshot
from eth_pipeline.contracts.tables import KLINES
from eth_pipeline.settings import SignalSettings
from eth_pipeline.signals.history import hours_between
from eth_pipeline.signals.technical.consensus import build_consensus, timeframe_bars
from eth_pipeline.signals.technical.consensus_history import consensus_history
from eth_pipeline.signals.technical.strategy import score_timeframe
from eth_pipeline_tests.decision_samples import HOUR, NOON, bars, walk

SETTINGS = SignalSettings()
DAYS = 90
FIRST = NOON.replace(hour=0) - timedelta(days=DAYS)
HOURLY = bars(walk(DAYS * 24, seed=4), first=FIRST)
SPAN = hours_between(FIRST + timedelta(days=78), FIRST + timedelta(days=DAYS, hours=30))


def _history(klines: pl.DataFrame, times: tuple[datetime, ...], base: str = "1h") -> dict[datetime, ConsensusSnapshot]:
    return consensus_history(klines, symbol="ETHUSDT", base_interval=base, decision_times=times, settings=SETTINGS)


def _alone(klines: pl.DataFrame, time: datetime, base: str = "1h") -> ConsensusSnapshot:
    frames = timeframe_bars(klines, symbol="ETHUSDT", base_interval=base, decision_time=time)
    scores = (score_timeframe(frame, timeframe=name) for name, frame in frames.items())
    return build_consensus(tuple(score for score in scores if score is not None), settings=SETTINGS)


def _same(klines: pl.DataFrame, times: tuple[datetime, ...], base: str = "1h") -> list[ConsensusSnapshot]:
    history = _history(klines, times, base)
    assert list(history) == list(times)
    for time, snapshot in history.items():
        assert snapshot.model_dump_json() == _alone(klines, time, base).model_dump_json(), time
    return list(history.values())


def test_every_hour_of_a_span_is_as_it_is_alone() -> None:
    """From before the daily bars suffice until after the last bar, where one timeframe after the other drops out."""
    snapshots = _same(HOURLY, SPAN[::5])
    assert {len(snapshot.scores) for snapshot in snapshots} >= {0, 1, 3, 4}


def test_quarter_hours_have_all_six_timeframes_and_the_same_answer() -> None:
    count = 82 * 96
    quarter = bars(walk(count, seed=6), first=NOON - count * timedelta(minutes=15), interval="15m")
    snapshots = _same(quarter, hours_between(NOON - 20 * HOUR, NOON + HOUR)[::4], "15m")
    assert [score.timeframe for score in snapshots[-1].scores] == ["15m", "30m", "1h", "4h", "8h", "24h"]


def test_holes_are_the_same_holes() -> None:
    random = np.random.default_rng(8)
    kept = random.random(HOURLY.height) > 0.002
    holes = HOURLY.filter(pl.Series(kept))
    snapshots = _same(holes, SPAN[100:300:3])
    assert len({len(snapshot.scores) for snapshot in snapshots}) > 1


def test_a_bar_that_became_known_late_does_not_count_before() -> None:
    late = HOURLY.with_columns(
        available_at=pl.when(pl.col("close_time") == SPAN[120])
        .then(pl.col("close_time") + timedelta(hours=3, minutes=20))
        .otherwise("available_at")
    )
    snapshots = _same(late, SPAN[115:130])
    assert "1h" not in [score.timeframe for score in snapshots[5].scores]
    assert snapshots[9] == _history(HOURLY, SPAN[124:125])[SPAN[124]]


def test_where_the_history_starts_does_not_matter() -> None:
    """A gap once made a window reach further back in a long history than in the hourly run's tail."""
    hole = HOURLY.filter(~pl.col("open_time").is_between(FIRST + timedelta(days=40), FIRST + timedelta(days=43)))
    time = SPAN[-60]
    tail = hole.filter(pl.col("open_time") >= time - timedelta(days=81))
    assert _history(hole, (time,)) == _history(tail, (time,))
    assert "24h" not in [score.timeframe for score in _history(hole, (time,))[time].scores]


def test_later_bars_and_other_symbols_change_nothing() -> None:
    times = SPAN[200:210]
    other = bars(walk(50, seed=9), first=NOON - 60 * HOUR, symbol="BTCUSDT")
    known = HOURLY.filter(pl.col("close_time") <= times[-1])
    assert _history(pl.concat([HOURLY, other]), times) == _history(known, times)


def test_only_full_hours_are_asked_for() -> None:
    with pytest.raises(ValueError, match="no full hour"):
        _history(HOURLY, (NOON + timedelta(minutes=1),))


def test_recorded_history_is_the_same_hour_by_hour(real_data: Path) -> None:
    rows = pl.read_parquet(real_data / "klines_ETHUSDT_1h.parquet").tail(24 * 120)
    stamp = "open_time" if "open_time" in rows.columns else rows.columns[0]
    opened = rows[stamp].cast(pl.Int64) if rows[stamp].dtype.is_integer() else rows[stamp].dt.epoch("ms")
    times = pl.from_epoch(opened, time_unit="ms").dt.replace_time_zone("UTC").cast(KLINES.schema["open_time"])
    prices = [tuple(row) for row in rows.select("open", "high", "low", "close").iter_rows()]
    klines = bars(prices, first=times[0]).with_columns(  # type: ignore[arg-type]  # four prices each
        open_time=times,
        close_time=times + HOUR,
        available_at=times + HOUR,
        volume=rows["volume"].cast(pl.Float64),
    )
    _same(klines, hours_between(times[-1] - timedelta(days=30), times[-1])[::15])
