"""Every parser of bytes from outside, as a question that arbitrary bytes may ask, and a few good answers to begin from.

Belongs here: what must hold for any bytes. Does not belong: making bytes (`test_fuzz_parsers` with hypothesis,
`fuzz/parsers.py` with atheris).

For any bytes a parser gives a value that reads back as the same value, or one of our errors that says what to do. Never
another exception, and never a panic of a native library, which no `except Exception` would catch.
"""

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from eth_pipeline.contracts.clock import to_milliseconds
from eth_pipeline.contracts.table import INSTANT
from eth_pipeline.errors import EthPipelineError
from eth_pipeline.exchange.archive import _only_member, _published_sha256
from eth_pipeline.exchange.formats.archive_files import ArchiveFile
from eth_pipeline.exchange.formats.bars import bars_from_api, bars_from_csv
from eth_pipeline.exchange.formats.funding import funding_from_api, funding_from_csv
from eth_pipeline.exchange.formats.metrics import convention_of
from eth_pipeline.exchange.formats.open_interest import open_interest_from_api, open_interest_from_csv
from eth_pipeline.exchange.formats.positioning import positioning_from_api, positioning_from_csv

DAY = datetime(2025, 3, 1, tzinfo=UTC)
FILE = ArchiveFile("data/x/ETHUSDT-15m-2025-03-01.zip", DAY, DAY + timedelta(days=1))
QUARTER = timedelta(minutes=15)
_MS = to_milliseconds(DAY)
_BAR = [_MS, "10.0", "12.0", "9.0", "11.0", "5.5", _MS + 899_999, "60.5", 7, "2.5", "27.5", "0"]
_METRICS = (
    "create_time,symbol,sum_open_interest,sum_open_interest_value,count_toptrader_long_short_ratio,"
    "sum_toptrader_long_short_ratio,count_long_short_ratio,sum_taker_long_short_vol_ratio\n"
)


@dataclass(frozen=True)
class Target:
    """One parser.

    Attributes:
        name: for people.
        ask: parses bytes and proves the value; raises an `EthPipelineError` where they are refused.
        seeds: bytes that it accepts, and some that it refuses.
    """

    name: str
    ask: Callable[[bytes], None]
    seeds: tuple[bytes, ...]

    def survives(self, content: bytes) -> bool:
        """True where the bytes were accepted; False where they were refused as they should be."""
        try:
            self.ask(content)
        except EthPipelineError as error:
            refusal = error
        else:
            return True
        assert len(str(refusal)) > 40, f"{refusal!r} says too little"
        return False


def _csv_line(bar: list[Any], *, unit_per_ms: int = 1) -> bytes:
    times = {0: bar[0] * unit_per_ms, 6: bar[6] * unit_per_ms}
    return (",".join(str(times.get(place, value)) for place, value in enumerate(bar)) + "\n").encode()


def _day_of_metrics(first: datetime, last: datetime) -> bytes:
    lines, label = [_METRICS], first
    while label <= last:
        lines.append(f"{label:%Y-%m-%d %H:%M:%S},ETHUSDT,{label.hour}.5,1000.0,1,1,1,1\n")
        label += timedelta(hours=1) if label.hour not in (0, 23) else timedelta(minutes=5)
    return "".join(lines).encode()


def _zipped(*names: str, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as made:
        for name in names:
            made.writestr(name, b"1,2,3\n" * 20)
    return buffer.getvalue()


def _checksum(content: bytes) -> None:
    digest = _published_sha256(content, FILE)
    assert _published_sha256(f"{digest}  {FILE.name}".encode(), FILE) == digest == digest.lower()
    assert len(bytes.fromhex(digest)) == 32


def _zip(content: bytes) -> None:
    member = _only_member(content, FILE)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as again:
        again.writestr("x.csv", member)
    assert _only_member(buffer.getvalue(), FILE) == member


def _same_after(frame: pl.DataFrame, again: pl.DataFrame) -> None:
    assert again.equals(frame, null_equal=True), (frame, again)
    for name in frame.columns:
        if frame[name].dtype == INSTANT:
            frame[name].to_list()  # Python's datetime has years 1 to 9999


def _bars_csv(content: bytes) -> None:
    bars = bars_from_csv(content, FILE, interval=QUARTER)
    lines = bars.select(
        pl.col("open_time").dt.epoch("ms"),
        "open",
        "high",
        "low",
        "close",
        "volume",
        pl.lit(0).alias("end"),
        "quote_volume",
        "trades",
        "taker_buy_volume",
        "taker_buy_quote_volume",
        pl.lit("0").alias("ignored"),
    )
    whole = (bars["open_time"].dt.epoch("us") % 1000 == 0).all()
    if whole and not bars["open_time"].null_count():  # finer than a millisecond is not how files are written
        _same_after(bars, bars_from_csv(lines.write_csv(include_header=True).encode(), FILE, interval=QUARTER))


def _funding_csv(content: bytes) -> None:
    rows = funding_from_csv(content, FILE)
    lines = rows.select(pl.col("funding_time").dt.epoch("ms"), "interval_hours", "funding_rate")
    _same_after(rows, funding_from_csv(lines.write_csv().encode(), FILE))


def _metrics(content: bytes) -> None:
    interest, ratios = open_interest_from_csv(content, FILE), positioning_from_csv(content, FILE)
    assert interest["period_end"].equals(ratios["period_end"], null_equal=True)
    _same_after(interest, open_interest_from_csv(content, FILE))
    if interest.height:
        assert convention_of(content, FILE)["convention"][0] in ("START", "END")


def _answer(read: Callable[[Any], pl.DataFrame]) -> Callable[[bytes], None]:
    def ask(content: bytes) -> None:
        try:
            payload = json.loads(content)
        except (ValueError, RecursionError):
            return  # `Transport.get_json` refuses it before a parser sees it
        rows = read(payload)
        _same_after(rows, read(payload))

    return ask


TARGETS = (
    Target("checksum", _checksum, (b"ab" * 32 + b"  " + FILE.name.encode(), b"AB" * 32 + b" *" + FILE.name.encode())),
    Target(
        "zip",
        _zip,
        (
            _zipped("a.csv"),
            _zipped("a.csv", method=zipfile.ZIP_STORED),
            _zipped("é.csv"),
            _zipped("../../etc/cron.d/x"),
            _zipped("a.csv", method=zipfile.ZIP_BZIP2),
            _zipped("a.csv", method=zipfile.ZIP_LZMA),
            _zipped("a.csv", "b.csv"),
        ),
    ),
    Target(
        "bars in a file",
        _bars_csv,
        (_csv_line(_BAR), _csv_line(_BAR, unit_per_ms=1000), b"open_time,a,b,c,d,e,f,g,h,i,j,k\n" + _csv_line(_BAR)),
    ),
    Target("funding in a file", _funding_csv, (f"calc_time,a,b\n{_MS},8,0.0001\n".encode(), f"{_MS},,1e-5".encode())),
    Target(
        "metrics in a file",
        _metrics,
        (
            _day_of_metrics(DAY, DAY + timedelta(hours=23, minutes=55)),
            _day_of_metrics(DAY + timedelta(minutes=5), DAY + timedelta(days=1)),
        ),
    ),
    Target("bars in an answer", _answer(lambda p: bars_from_api(p, interval=QUARTER)), (json.dumps([_BAR]).encode(),)),
    Target(
        "funding in an answer",
        _answer(funding_from_api),
        (json.dumps([{"symbol": "ETHUSDT", "fundingTime": _MS, "fundingRate": "0.0001"}]).encode(),),
    ),
    Target(
        "open interest in an answer",
        _answer(open_interest_from_api),
        (json.dumps([{"timestamp": _MS, "sumOpenInterest": "5.0", "sumOpenInterestValue": None}]).encode(),),
    ),
    Target(
        "ratios in an answer",
        _answer(lambda p: positioning_from_api(p, p, p, p)),
        (json.dumps([{"timestamp": _MS, "longShortRatio": "1.5", "buySellRatio": "0.9"}]).encode(),),
    ),
)
