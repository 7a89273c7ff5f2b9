"""A recorded market: parquet files of real history, served as the exchange would have served them at the time.

Belongs here: reading the recording into the shape of `market.Market`. Does not belong: repairing it. Whatever a
recording lacks (quote volume, trade counts, taker buys, whole streams) stays missing, so that a pipeline fed
from it meets absent sources, not invented ones.

Files of the folder (times UTC, `open_time` = start of the bar, settlement or snapshot instant):
`klines_<SYMBOL>_1h`, `klines_spot_<SYMBOL>_1h`, `mark_<SYMBOL>_1h`, `funding_<SYMBOL>`, `oi_<SYMBOL>_8h`.
"""

import functools
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import polars as pl

from eth_pipeline.errors import SettingsInvalid
from eth_pipeline.sandbox.bar_streams import BarStream
from eth_pipeline.sandbox.market import (
    BAR_SCHEMA,
    FUNDING_SCHEMA,
    HOUR_MS,
    OPEN_INTEREST_SCHEMA,
)

_FILE_OF_STREAM: dict[BarStream, str] = {
    "klines": "klines_{symbol}_1h.parquet",
    "spot_klines": "klines_spot_{symbol}_1h.parquet",
    "mark_klines": "mark_{symbol}_1h.parquet",
}
_RENAMED = {"taker_buy_base": "taker_buy_volume", "taker_buy_quote": "taker_buy_quote_volume"}


class ReplayMarket:
    """Recordings in `folder`; hourly bars are the base, larger ones are aggregated from them.

    Raises:
        SettingsInvalid: the folder holds no perpetual klines.
    """

    provenance: Literal["replay"] = "replay"
    base_interval = timedelta(hours=1)

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        found = sorted(path.name.split("_")[1] for path in self.folder.glob("klines_*USDT_1h.parquet"))
        self.symbols = tuple(name for name in found if name != "spot")
        if not self.symbols:
            raise SettingsInvalid(
                f"{self.folder} holds no klines_<SYMBOL>_1h.parquet. Point the replay at a folder of recordings."
            )
        self._bars = functools.cache(self._read_bars)
        self._funding = functools.cache(self._read_funding)
        self._open_interest = functools.cache(self._read_open_interest)

    def bars(self, stream: BarStream, symbol: str, *, until: datetime) -> pl.DataFrame:  # noqa: ARG002 (all is read)
        """All recorded hourly bars in `BAR_SCHEMA`."""
        return self._bars(stream, symbol)

    def funding(self, symbol: str, *, until: datetime) -> pl.DataFrame:  # noqa: ARG002 (all is read)
        """All recorded settlements in `FUNDING_SCHEMA`."""
        return self._funding(symbol)

    def open_interest(self, symbol: str, *, until: datetime) -> pl.DataFrame:  # noqa: ARG002 (all is read)
        """The recorded snapshots (every 8 hours) in `OPEN_INTEREST_SCHEMA`; unknown ones are absent."""
        return self._open_interest(symbol)

    def _read_bars(self, stream: BarStream, symbol: str) -> pl.DataFrame:
        template = _FILE_OF_STREAM.get(stream)
        frame = self._read(template.format(symbol=symbol)) if template else None
        if frame is None:
            return pl.DataFrame(schema=BAR_SCHEMA)
        frame = frame.rename({old: new for old, new in _RENAMED.items() if old in frame.columns})
        return _shaped(frame, BAR_SCHEMA)

    def _read_funding(self, symbol: str) -> pl.DataFrame:
        frame = self._read(f"funding_{symbol}.parquet")
        if frame is None:
            return pl.DataFrame(schema=FUNDING_SCHEMA)
        hours = (pl.col("open_time").diff().fill_null(8 * HOUR_MS) / HOUR_MS).round().cast(pl.Int64)
        # A settlement that is missing from the recording looks like a long interval; Binance has none above 8 h.
        frame = frame.with_columns(interval_hours=hours.clip(1, 8)).rename({"open_time": "funding_time"})
        return _shaped(frame, FUNDING_SCHEMA)

    def _read_open_interest(self, symbol: str) -> pl.DataFrame:
        frame = self._read(f"oi_{symbol}_8h.parquet")
        if frame is None:
            return pl.DataFrame(schema=OPEN_INTEREST_SCHEMA)
        known = frame.drop_nulls("open_interest").rename({"open_time": "period_end"})
        return _shaped(known, OPEN_INTEREST_SCHEMA)

    def _read(self, name: str) -> pl.DataFrame | None:
        path = self.folder / name
        if not path.is_file():
            return None
        frame = pl.read_parquet(path).with_columns(pl.col("open_time").dt.epoch("ms"))
        return frame.with_columns(pl.col(pl.Float64).fill_nan(None)).unique("open_time", keep="first").sort("open_time")


def _shaped(frame: pl.DataFrame, schema: dict[str, type[pl.DataType]]) -> pl.DataFrame:
    """`frame` with exactly the columns of `schema`; what it lacks is null."""
    columns = [
        (pl.col(name) if name in frame.columns else pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in schema.items()
    ]
    return frame.select(columns)
