"""The table of streams: for each, where both doors have it, what a page costs, and which symbols are asked for.

Belongs here: endpoints, weights, page sizes, archive folders (from Binance's documentation and published probes). Does
not belong: asking (`pages`, `archive`), parsing, deciding what is missing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from typing import Literal

import polars as pl

from eth_pipeline.contracts.clock import HOUR
from eth_pipeline.contracts.table import TableContract
from eth_pipeline.contracts.tables import FUNDING_RATES, OPEN_INTEREST, POSITIONING, STREAMS
from eth_pipeline.errors import SettingsInvalid
from eth_pipeline.exchange.formats.archive_files import ArchiveFile, ArchiveSeries
from eth_pipeline.exchange.formats.bars import bars_from_api, bars_from_csv
from eth_pipeline.exchange.formats.funding import funding_from_api, funding_from_csv
from eth_pipeline.exchange.formats.metrics import METRICS_PERIOD, PUBLICATION_DELAY
from eth_pipeline.exchange.formats.open_interest import open_interest_from_api, open_interest_from_csv
from eth_pipeline.exchange.formats.positioning import positioning_from_api, positioning_from_csv
from eth_pipeline.exchange.http.endpoint import AllowanceName, Endpoint
from eth_pipeline.settings import Settings

_FUTURES_DATA: AllowanceName = "futures_data_requests"
_FUTURES, _SPOT = "data/futures/um", "data/spot"
LONGEST_FUNDING_INTERVAL = timedelta(hours=8)
_FIRST_ARCHIVE_MONTH = datetime(2017, 8, 1, tzinfo=UTC)  # first spot month of any of the symbols
_FIRST_METRICS_DAY = datetime(2021, 12, 1, tzinfo=UTC)
# REST keeps "the last month" of open interest and answers 400 beyond it; two days stay unused as a margin.
_OPEN_INTEREST_REACH = timedelta(days=28)
_OPEN_INTEREST_PAGE = timedelta(days=20)


@dataclass(frozen=True)
class Question:
    """One request that a page of a stream needs; most streams need one.

    Attributes:
        endpoint, params: the REST door.
        asks_for: how the endpoint calls the symbol.
        label_before: how much earlier than our instant the endpoint labels a row (START labels).
        rows_per_step: rows the endpoint has between two of ours.
    """

    endpoint: Endpoint
    params: Mapping[str, str]
    asks_for: str = "symbol"
    label_before: timedelta = timedelta(0)
    rows_per_step: int = 1


@dataclass(frozen=True)
class Stream:
    """One stream of market data and its two doors.

    Attributes:
        contract: the table its rows go to.
        time_column: column of the contract that names the instant of a row.
        symbols: symbols asked for, the main one first.
        interval: text of the contract's `interval` column; None where it has none.
        step: distance of two rows: the bar size, an hour, or the longest funding interval.
        spacing: `fixed`: every step has a row; `at_most`: rows may come more often (funding); `observed`: the most
            frequent distance rules, `step` at least (recorded snapshots every eight hours).
        known_after: `available_at` less the instant of a row.
        questions: the requests of the REST door that together give one page.
        page_rows: rows asked for at once; `page_cost` is what that many cost.
        pages_are_windows: the endpoint picks rows from the END of a range: ask for ranges of one page.
        api_reach: how far back REST goes; None for all history.
        archive: the archive door.
        archive_since: nothing older is published there.
        archive_after: age from which whole files are taken from the archive rather than from REST.
        file_offset: a file is about instants later by this much (a metrics day holds 00:05 .. 00:00).
        read_file, read_page: the parsers of the two doors.
        overlap_rows: newest stored rows asked for again with the tail, to see revisions.
    """

    contract: TableContract
    time_column: str
    symbols: tuple[str, ...]
    interval: str | None
    step: timedelta
    spacing: Literal["fixed", "observed", "at_most"]
    known_after: timedelta
    questions: tuple[Question, ...]
    page_rows: int
    page_cost: Callable[[int], int]
    archive: ArchiveSeries
    read_file: Callable[[bytes, ArchiveFile], pl.DataFrame]
    read_page: Callable[..., pl.DataFrame]
    pages_are_windows: bool = False
    api_reach: timedelta | None = None
    archive_since: datetime = _FIRST_ARCHIVE_MONTH
    archive_after: timedelta = timedelta(0)
    file_offset: timedelta = timedelta(0)
    overlap_rows: int = 0

    @cached_property
    def no_rows(self) -> pl.DataFrame:
        """Nothing, in the shape of the contract: every symbol begins with it."""
        return self.contract.empty()


def stream_named(name: str, settings: Settings) -> Stream:
    """The stream whose table is called `name`.

    Raises:
        SettingsInvalid: there is no such stream.
    """
    if name not in _STREAMS:
        raise SettingsInvalid(f"no stream is called {name!r}. Streams: {', '.join(STREAMS)}.")
    return _STREAMS[name](settings)


def _klines_weight(rows: int) -> int:
    """Request weight of futures klines by `limit`."""
    return 1 if rows < 100 else 2 if rows < 500 else 5 if rows <= 1000 else 10


@dataclass(frozen=True)
class _BarDoors:
    """Where both doors have a stream of bars.

    Attributes:
        path: REST endpoint.
        market, kind: folders of the archive.
        asks_for: how the endpoint calls the symbol.
    """

    path: str
    market: str
    kind: str
    asks_for: str = "symbol"


_BARS = {
    "klines": _BarDoors("/fapi/v1/klines", _FUTURES, "klines"),
    "mark_klines": _BarDoors("/fapi/v1/markPriceKlines", _FUTURES, "markPriceKlines"),
    "spot_klines": _BarDoors("/api/v3/klines", _SPOT, "klines"),
    "premium_klines": _BarDoors("/fapi/v1/premiumIndexKlines", _FUTURES, "premiumIndexKlines"),
}


def _bars(name: str, settings: Settings) -> Stream:
    doors, interval, step = _BARS[name], settings.base_interval, settings.base_delta
    spot = doors.market == _SPOT
    endpoint = Endpoint("spot" if spot else "futures", doors.path, "weight")
    return Stream(
        contract=STREAMS[name],
        time_column="open_time",
        symbols=settings.symbols,
        interval=interval,
        step=step,
        spacing="fixed",
        known_after=step,
        questions=(Question(endpoint, {"interval": interval}, asks_for=doors.asks_for),),
        page_rows=1000 if spot else 499,
        page_cost=(lambda _: 2) if spot else _klines_weight,
        archive=ArchiveSeries(doors.market, doors.kind, interval, monthly=True, daily=True),
        read_file=partial(bars_from_csv, interval=step),
        read_page=partial(bars_from_api, interval=step),
        overlap_rows=2,
    )


def _funding_rates(settings: Settings) -> Stream:
    return Stream(
        contract=FUNDING_RATES,
        time_column="funding_time",
        symbols=settings.symbols,
        interval=None,
        step=LONGEST_FUNDING_INTERVAL,
        spacing="at_most",
        known_after=timedelta(0),
        questions=(Question(Endpoint("futures", "/fapi/v1/fundingRate", "funding_requests"), {}),),
        page_rows=1000,
        page_cost=lambda _: 1,
        archive=ArchiveSeries(_FUTURES, "fundingRate", None, monthly=True, daily=False),
        read_file=funding_from_csv,
        read_page=funding_from_api,
    )


def _open_interest(settings: Settings) -> Stream:
    return Stream(
        contract=OPEN_INTEREST,
        time_column="period_end",
        symbols=(settings.symbol,),
        interval=None,
        step=HOUR,
        spacing="observed",
        known_after=PUBLICATION_DELAY,
        questions=(Question(Endpoint("futures", "/futures/data/openInterestHist", _FUTURES_DATA), {"period": "1h"}),),
        page_rows=500,
        page_cost=lambda _: 1,
        archive=ArchiveSeries(_FUTURES, "metrics", None, monthly=False, daily=True),
        read_file=open_interest_from_csv,
        read_page=open_interest_from_api,
        pages_are_windows=True,
        api_reach=_OPEN_INTEREST_REACH,
        archive_since=_FIRST_METRICS_DAY,
        archive_after=_OPEN_INTEREST_PAGE,
        file_offset=METRICS_PERIOD,
    )


def _positioning(settings: Settings) -> Stream:
    # Four endpoints make one row. The taker ratio is labelled with the START of its period; of the others Binance
    # names no convention, they are taken as snapshots like open interest: END.
    names = ("topLongShortAccountRatio", "topLongShortPositionRatio", "globalLongShortAccountRatio")
    period = {"period": "5m"}
    each = HOUR // METRICS_PERIOD
    return replace(
        _open_interest(settings),
        contract=POSITIONING,
        questions=(
            *(
                Question(Endpoint("futures", f"/futures/data/{n}", _FUTURES_DATA), period, rows_per_step=each)
                for n in names
            ),
            Question(
                Endpoint("futures", "/futures/data/takerlongshortRatio", _FUTURES_DATA),
                period,
                label_before=METRICS_PERIOD,
                rows_per_step=each,
            ),
        ),
        page_rows=500 // each,
        page_cost=lambda _: 1,
        read_file=positioning_from_csv,
        read_page=positioning_from_api,
    )


_STREAMS: dict[str, Callable[[Settings], Stream]] = {
    **{name: partial(_bars, name) for name in _BARS},
    "funding_rates": _funding_rates,
    "open_interest": _open_interest,
    "positioning": _positioning,
}
