"""The public archive: zipped CSV files and their `.CHECKSUM`, under the paths of data.binance.vision.

Belongs here: which file exists when, what is in it, its bytes. Does not belong: HTTP (`exchange`), visibility of
rows (`view`). Zips are deterministic: the same rows give the same bytes and the same sha256.

- A daily file exists from the next virtual day on, a monthly one a day after its month, never without rows.
- Futures bars have a header line from 2022-05 on, spot files never. Spot times are microseconds from 2025-01-01.
- Metrics labels name the END of their 5 minutes until 2026-06-24 and the START from 2026-06-25 on.
"""

import hashlib
import io
import re
import zipfile
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import polars as pl

from eth_pipeline.contracts.clock import to_milliseconds
from eth_pipeline.sandbox.bar_streams import BAR_KINDS, BarStream
from eth_pipeline.sandbox.faults import KINDS, FaultBoard
from eth_pipeline.sandbox.market import INTERVALS_MS, MINUTE_MS, place
from eth_pipeline.sandbox.view import View

MONTHLY_LAG = timedelta(days=1)
HEADER_SINCE = datetime(2022, 5, 1, tzinfo=UTC)
SPOT_MICROSECONDS_SINCE = datetime(2025, 1, 1, tzinfo=UTC)
START_LABELS_SINCE = datetime(2026, 6, 25, tzinfo=UTC)
LABEL_STEP_MS = 5 * MINUTE_MS
_KEPT_FILES = 128

_FOLDERS: dict[str, BarStream] = {kind.folder: stream for stream, kind in BAR_KINDS.items()}
_DATE = r"(?P<date>\d{4}-\d{2}(?:-\d{2})?)"
_BARS = re.compile(
    r"/data/(?P<venue>futures/um|spot)/(?P<span>monthly|daily)/(?P<folder>\w+)/(?P<symbol>\w+)/(?P<interval>\w+)/"
    rf"(?P=symbol)-(?P=interval)-{_DATE}\.zip"
)
_FUNDING = re.compile(
    r"/data/futures/um/(?P<span>monthly)/fundingRate/(?P<symbol>\w+)/" rf"(?P=symbol)-fundingRate-{_DATE}\.zip"
)
_METRICS = re.compile(r"/data/futures/um/(?P<span>daily)/metrics/(?P<symbol>\w+)/" rf"(?P=symbol)-metrics-{_DATE}\.zip")


@dataclass(frozen=True)
class ArchiveKey:
    """What an archive path asks for: [first, after) in virtual time."""

    path: str
    stream: str
    symbol: str
    interval: str | None
    first: datetime
    after: datetime
    monthly: bool

    @property
    def published_at(self) -> datetime:
        """First instant at which the file can be fetched."""
        return self.after + MONTHLY_LAG if self.monthly else self.after


@dataclass(frozen=True)
class ArchiveFile:
    """One published file."""

    name: str
    content: bytes
    sha256: str
    last_modified: datetime


def parse_key(path: str) -> ArchiveKey | None:
    """The key of a zip's path; None where the archive has no such place."""
    for pattern in (_BARS, _FUNDING, _METRICS):
        match = pattern.fullmatch(path)
        if match:
            return _key(path, match.groupdict())
    return None


def _key(path: str, parts: dict[str, str]) -> ArchiveKey | None:
    monthly = parts["span"] == "monthly"
    stream = "funding_rates" if "/fundingRate/" in path else "open_interest"
    if "folder" in parts:
        stream = _FOLDERS.get(f"{parts['venue']}/{parts['folder']}", "")
    try:
        first = datetime.strptime(parts["date"], "%Y-%m" if monthly else "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        return None
    if not stream:
        return None
    after = (first + timedelta(days=32)).replace(day=1) if monthly else first + timedelta(days=1)
    return ArchiveKey(path, stream, parts["symbol"], parts.get("interval"), first, after, monthly)


class Archive:
    """Files over one view; the most recent ones are kept, because a zip and its checksum are asked one by one."""

    def __init__(self, view: View, faults: FaultBoard) -> None:
        self.view, self.faults = view, faults
        self._kept: OrderedDict[tuple[str, int], ArchiveFile | None] = OrderedDict()

    def file(self, key: ArchiveKey) -> ArchiveFile | None:
        """The zip of `key`, or None where it does not exist (yet, or at all)."""
        if key.published_at > self.view.horizon("archive", key.stream, key.symbol):
            return None
        slot = (key.path, self.faults.generation)
        if slot not in self._kept:
            self._kept[slot] = self._build(key)
            if len(self._kept) > _KEPT_FILES:
                self._kept.popitem(last=False)
        return self._kept[slot]

    def _build(self, key: ArchiveKey) -> ArchiveFile | None:
        csv = self._csv(key)
        if csv is None:
            return None
        name = key.path.rsplit("/", 1)[1]
        content = _zipped(name.removesuffix(".zip") + ".csv", csv)
        if self._faulty("corrupt_zip", key):
            middle = len(content) // 2
            content = (
                content[:middle] + bytes(255 - byte for byte in content[middle : middle + 64]) + content[middle + 64 :]
            )
        return ArchiveFile(name, content, hashlib.sha256(content).hexdigest(), key.published_at)

    def _csv(self, key: ArchiveKey) -> bytes | None:
        if key.symbol not in self.view.market.symbols:
            return None
        if key.stream == "funding_rates":
            frame, write = self.view.funding("archive", key.symbol), self._funding_csv
            rows = _between(frame, "funding_time", key, edge=0)
        elif key.stream == "open_interest":
            frame, write = self.view.open_interest("archive", key.symbol), self._metrics_csv
            rows = _between(frame, "period_end", key, edge=1)
        else:
            if key.interval is None or not self.view.has_interval(key.interval):
                return None
            frame, write = self.view.closed_bars("archive", key.stream, key.symbol, key.interval), self._bars_csv
            rows = _between(frame, "open_time", key, edge=0)
        return None if rows.is_empty() else write(rows, key)

    def _bars_csv(self, rows: pl.DataFrame, key: ArchiveKey) -> bytes:
        size_ms = INTERVALS_MS[key.interval or ""]
        kind = BAR_KINDS[key.stream]
        scale = 1000 if kind.spot and key.first >= SPOT_MICROSECONDS_SINCE else 1
        if kind.prices_only:
            zeros = [pl.lit(0).alias(name) for name in ("volume", "quote_volume", "taker_buy_volume")]
            rows = rows.with_columns(*zeros, trades=pl.lit(size_ms // 1000), taker_buy_quote_volume=pl.lit(0))
        shaped = rows.select(
            pl.col("open_time") * scale,
            "open",
            "high",
            "low",
            "close",
            "volume",
            ((pl.col("open_time") + size_ms) * scale - 1).alias("close_time"),
            "quote_volume",
            pl.col("trades").alias("count"),
            "taker_buy_volume",
            "taker_buy_quote_volume",
            pl.lit(0).alias("ignore"),
        )
        return _written(shaped, header=not kind.spot and key.first >= HEADER_SINCE, decimals=8 if kind.spot else None)

    def _funding_csv(self, rows: pl.DataFrame, key: ArchiveKey) -> bytes:  # noqa: ARG002 (one shape of all writers)
        shaped = rows.select(
            pl.col("funding_time").alias("calc_time"),
            pl.col("interval_hours").alias("funding_interval_hours"),
            pl.col("funding_rate").alias("last_funding_rate"),
        )
        return _written(shaped, header=True, decimals=8)

    def _metrics_csv(self, rows: pl.DataFrame, key: ArchiveKey) -> bytes:
        starts = (key.first >= START_LABELS_SINCE) != self._faulty("label_flip", key)
        label = pl.from_epoch(pl.col("period_end") - (LABEL_STEP_MS if starts else 0), time_unit="ms")
        shaped = rows.select(
            label.dt.strftime("%Y-%m-%d %H:%M:%S").alias("create_time"),
            pl.lit(key.symbol).alias("symbol"),
            pl.col("open_interest").alias("sum_open_interest"),
            pl.col("open_interest_value").alias("sum_open_interest_value"),
            pl.col("top_trader_ratio").alias("count_toptrader_long_short_ratio"),
            pl.col("top_trader_position_ratio").alias("sum_toptrader_long_short_ratio"),
            pl.col("long_short_ratio").alias("count_long_short_ratio"),
            pl.col("taker_ratio").alias("sum_taker_long_short_vol_ratio"),
        )
        return _written(shaped, header=True, decimals=8)

    def _faulty(self, kind: str, key: ArchiveKey) -> bool:
        hitting = self.faults.hitting(KINDS[kind].stage, door="archive", stream=key.stream, symbol=key.symbol)
        return any(fault.kind == kind for fault in hitting)


def _between(frame: pl.DataFrame, column: str, key: ArchiveKey, *, edge: int) -> pl.DataFrame:
    """Rows of the key's days; `edge` 1 moves both ends by a millisecond: (first, after] for ends of periods."""
    times = frame[column]
    first = place(times, to_milliseconds(key.first) + edge, side="left")
    after = place(times, to_milliseconds(key.after) + edge, side="left")
    return frame.slice(first, after - first)


def _written(frame: pl.DataFrame, *, header: bool, decimals: int | None) -> bytes:
    buffer = io.BytesIO()
    frame.write_csv(buffer, include_header=header, float_precision=decimals, float_scientific=False)
    return buffer.getvalue()


def _zipped(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as bundle:
        bundle.writestr(zipfile.ZipInfo(name, date_time=(2020, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED, 1)
    return buffer.getvalue()
