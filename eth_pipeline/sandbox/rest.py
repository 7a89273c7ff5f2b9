"""The answers of the JSON endpoints: parameters in, rows out, as Binance's documentation and error list describe them.

Belongs here: one method per kind of answer, its parameter rules, its wire format. Does not belong: paths and
weights (`endpoints`), HTTP, limits, refusals (`exchange`), visibility (`view`). What is uncertain about the real
exchange stands in one constant with its name, so that one line changes when a probe answers it.
"""

from typing import Any

import polars as pl

from eth_pipeline.contracts.clock import to_milliseconds
from eth_pipeline.sandbox.bar_streams import BAR_KINDS, BarStream
from eth_pipeline.sandbox.exchange_info import exchange_info, futures_symbol, spot_symbol
from eth_pipeline.sandbox.faults import FaultBoard
from eth_pipeline.sandbox.market import DAY_MS, HOUR_MS, INTERVALS_MS, place
from eth_pipeline.sandbox.parameters import BadRequest, Params, milliseconds, page_limit, required
from eth_pipeline.sandbox.view import View
from eth_pipeline.sandbox.wire import kline_arrays, text

Json = dict[str, Any] | list[Any]

OPEN_INTEREST_DAYS = 30
OPEN_INTEREST_PERIODS = ("5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d")
# Uncertain: a range with more open-interest rows than `limit` answers with its newest rows, so a client must
# bound `endTime`. ccxt always sends endTime = startTime + limit periods, which is right under either reading.
OPEN_INTEREST_NEWEST_OF_RANGE = True


class Rest:
    """Answers of the JSON endpoints over one view."""

    def __init__(self, view: View, faults: FaultBoard) -> None:
        self.view, self.faults = view, faults

    @property
    def now_ms(self) -> int:
        """Virtual time in milliseconds."""
        return to_milliseconds(self.view.clock.now())

    def ping(self, _: Params) -> Json:
        """Nothing, quickly."""
        return {}

    def time(self, _: Params) -> Json:
        """Exchange time; a `clock_skew` fault shows here only."""
        skew = sum(fault.seconds for fault in self.faults.hitting("time", door="rest", stream="time", symbol=None))
        return {"serverTime": self.now_ms + int(skew * 1000)}

    def bars(self, params: Params, *, stream: BarStream) -> Json:
        """Bars of one stream as arrays of twelve."""
        kind = BAR_KINDS[stream]
        symbol, interval = self._symbol(params, name=kind.asks_for), required(params, "interval")
        if not self.view.has_interval(interval):
            raise BadRequest(-1120, "Invalid interval.")
        most = 1000 if kind.spot else 1500
        visible = self.view.bars(stream, symbol, interval)
        page = self._page(visible.frame, "open_time", params, stream=stream, symbol=symbol, default=500, most=most)
        rows = kline_arrays(page, stream=stream, symbol=symbol, size_ms=INTERVALS_MS[interval])
        if visible.open_bar_close_time is not None and rows and rows[-1][6] > self.now_ms:
            rows[-1][6] = visible.open_bar_close_time
        return rows

    def funding_rate(self, params: Params) -> Json:
        """Settlements, ascending; without a start (or with 0) the latest ones."""
        symbol = self._symbol(params)
        frame = self.view.funding("rest", symbol)
        ranged = milliseconds(params, "startTime") or "endTime" in params
        default = 100 if ranged else 200
        page = self._page(
            frame, "funding_time", params, stream="funding_rates", symbol=symbol, default=default, most=1000
        )
        return [
            {
                "symbol": symbol,
                "fundingTime": row["funding_time"],
                "fundingRate": f"{row['funding_rate']:.8f}",
                "markPrice": "" if row["mark_price"] is None else f"{row['mark_price']:.8f}",
            }
            for row in page.iter_rows(named=True)
        ]

    def funding_info(self, _: Params) -> Json:
        """Symbols with their settlement interval and caps."""
        caps = {"adjustedFundingRateCap": "0.02000000", "adjustedFundingRateFloor": "-0.02000000"}
        return [
            {"symbol": symbol, **caps, "fundingIntervalHours": 8, "disclaimer": False}
            for symbol in self.view.market.symbols
        ]

    def premium_index(self, params: Params) -> Json:
        """Latest mark price and funding of one symbol, or of all."""
        if "symbol" in params:
            return self._premium_of(self._symbol(params))
        return [self._premium_of(symbol) for symbol in self.view.market.symbols]

    def open_interest(self, params: Params) -> Json:
        """The newest snapshot."""
        symbol = self._symbol(params)
        frame = self.view.open_interest("rest", symbol)
        if frame.is_empty():
            raise BadRequest(-1130, "Data sent for parameter 'symbol' is not valid: it has no open interest here.")
        newest = frame.row(-1, named=True)
        return {"symbol": symbol, "openInterest": f"{newest['open_interest']:.3f}", "time": newest["period_end"]}

    def open_interest_history(self, params: Params) -> Json:
        """Snapshots at the end of each period; only the last month, older starts are refused."""
        symbol, period = self._symbol(params), required(params, "period")
        if period not in OPEN_INTEREST_PERIODS:
            raise BadRequest(-1130, "Data sent for parameter 'period' is not valid.")
        oldest = self.now_ms - OPEN_INTEREST_DAYS * DAY_MS
        start = milliseconds(params, "startTime")
        if start is not None and start < oldest:
            raise BadRequest(-1130, "parameter 'startTime' is invalid.")
        frame = _since(self.view.open_interest("rest", symbol), oldest)
        page = self._page(
            frame.filter(pl.col("period_end") % INTERVALS_MS[period] == 0),
            "period_end",
            params,
            stream="open_interest",
            symbol=symbol,
            default=30,
            most=500,
            newest=OPEN_INTEREST_NEWEST_OF_RANGE,
        )
        return [
            {
                "symbol": symbol,
                "sumOpenInterest": f"{row['open_interest']:.8f}",
                "sumOpenInterestValue": text(row["open_interest_value"], 8),
                "timestamp": row["period_end"],
            }
            for row in page.iter_rows(named=True)
        ]

    def ratio_history(self, params: Params, *, column: str, field: str, starts: bool = False) -> Json:
        """A long/short or taker ratio of each five minutes; `starts` labels a row with the START of its period.

        Only the period that the recordings have; a real exchange has coarser ones, too.
        """
        symbol, period = self._symbol(params), required(params, "period")
        if period not in OPEN_INTEREST_PERIODS:
            raise BadRequest(-1130, "Data sent for parameter 'period' is not valid.")
        size_ms, oldest = INTERVALS_MS[period], self.now_ms - OPEN_INTEREST_DAYS * DAY_MS
        start = milliseconds(params, "startTime")
        if start is not None and start < oldest:
            raise BadRequest(-1130, "parameter 'startTime' is invalid.")
        label = pl.col("period_end") - (size_ms if starts else 0)
        recent = _since(self.view.open_interest("rest", symbol, stream="positioning"), oldest)
        frame = recent.with_columns(label.alias("label"))
        page = self._page(
            frame.filter(pl.col("period_end") % size_ms == 0, pl.col("label") >= oldest, pl.col(column).is_not_null()),
            "label",
            params,
            stream="positioning",
            symbol=symbol,
            default=30,
            most=500,
            newest=OPEN_INTEREST_NEWEST_OF_RANGE,
        )
        return [
            {**({} if starts else {"symbol": symbol}), field: f"{ratio:.8f}", "timestamp": label}
            for label, ratio in page.select("label", column).iter_rows()
        ]

    def futures_exchange_info(self, _: Params) -> Json:
        """Symbols, filters and limits of the perpetuals."""
        limit = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 2400}
        symbols = [futures_symbol(symbol) for symbol in self.view.market.symbols]
        return exchange_info(self.now_ms, limit, symbols)

    def spot_exchange_info(self, _: Params) -> Json:
        """Symbols, filters and limits of the spot pairs."""
        limit = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000}
        symbols = [spot_symbol(symbol) for symbol in self.view.market.symbols]
        return exchange_info(self.now_ms, limit, symbols)

    def _symbol(self, params: Params, *, name: str = "symbol") -> str:
        symbol = required(params, name)
        if symbol not in self.view.market.symbols:
            raise BadRequest(-1121, "Invalid symbol.")
        return symbol

    def _premium_of(self, symbol: str) -> dict[str, Any]:
        mark = self.view.bars("mark_klines", symbol, "1h").frame
        spot = self.view.bars("spot_klines", symbol, "1h").frame
        funding = self.view.funding("rest", symbol)
        return {
            "symbol": symbol,
            "markPrice": text(_newest(mark, "close"), 8),
            "indexPrice": text(_newest(spot, "close"), 8),
            "estimatedSettlePrice": text(_newest(spot, "close"), 8),
            "lastFundingRate": text(_newest(funding, "funding_rate"), 8),
            "interestRate": "0.00010000",
            "nextFundingTime": (self.now_ms // (8 * HOUR_MS) + 1) * 8 * HOUR_MS,
            "time": self.now_ms,
        }

    def _page(
        self,
        frame: pl.DataFrame,
        column: str,
        params: Params,
        *,
        stream: str,
        symbol: str,
        default: int,
        most: int,
        newest: bool = False,
    ) -> pl.DataFrame:
        """The rows a request's startTime, endTime and limit select; both times are inclusive."""
        limit = page_limit(params, default=default, most=most, clamps=stream == "spot_klines")
        start, end = milliseconds(params, "startTime"), milliseconds(params, "endTime")
        if start and end is not None and start > end:
            raise BadRequest(-1023, "Start time is greater than end time.")
        times = frame[column]
        first = place(times, start, side="left") if start else 0
        last = len(times) if end is None else place(times, end, side="right")
        found = frame.slice(first, max(0, last - first))
        page = found.head(limit) if start and not newest else found.tail(limit)
        for fault in self.faults.hitting("page", door="rest", stream=stream, symbol=symbol):
            if self.faults.spend(fault):
                page = page.head(max(0, page.height - fault.rows))
        return page


def _since(snapshots: pl.DataFrame, oldest_ms: int) -> pl.DataFrame:
    return snapshots.slice(place(snapshots["period_end"], oldest_ms, side="left"))


def _newest(frame: pl.DataFrame, column: str) -> float | None:
    return None if frame.is_empty() else float(frame[column][-1])
