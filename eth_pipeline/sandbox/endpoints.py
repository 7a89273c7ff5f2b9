"""The table of JSON endpoints: for each path its stream, its weight, the pool it is counted in, and its answer.

Belongs here: paths. Does not belong: the answers (`rest`), counting (`limits`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from eth_pipeline.sandbox.bar_streams import BAR_KINDS, BarKind, BarStream
from eth_pipeline.sandbox.parameters import Params, kline_weight
from eth_pipeline.sandbox.rest import Json, Rest


@dataclass(frozen=True)
class Endpoint:
    """One path: which stream its faults and its log belong to, what it costs, and what it answers.

    Attributes:
        asks_for: the parameter that names the symbol.
    """

    stream: str
    answer: Callable[[Rest, Params], Json]
    weigh: Callable[[Params], int] = lambda _: 1
    pool: str = "futures"
    asks_for: str = "symbol"


def _bars(stream: BarStream, kind: BarKind) -> Endpoint:
    answer = partial(Rest.bars, stream=stream)
    if kind.spot:
        return Endpoint(stream, answer, lambda _: 2, pool="spot", asks_for=kind.asks_for)
    return Endpoint(stream, answer, kline_weight, asks_for=kind.asks_for)


_DATA = "open_interest"  # /futures/data shares one allowance

ENDPOINTS: dict[str, Endpoint] = {
    **{kind.path: _bars(stream, kind) for stream, kind in BAR_KINDS.items()},
    "/fapi/v1/ping": Endpoint("ping", Rest.ping),
    "/fapi/v1/time": Endpoint("time", Rest.time),
    "/fapi/v1/exchangeInfo": Endpoint("exchange_info", Rest.futures_exchange_info),
    "/fapi/v1/fundingRate": Endpoint("funding_rates", Rest.funding_rate, pool="funding"),
    "/fapi/v1/fundingInfo": Endpoint("funding_rates", Rest.funding_info, pool="funding"),
    "/fapi/v1/premiumIndex": Endpoint(
        "mark_klines", Rest.premium_index, lambda params: 1 if "symbol" in params else 10
    ),
    "/fapi/v1/openInterest": Endpoint("open_interest", Rest.open_interest),
    "/futures/data/openInterestHist": Endpoint("open_interest", Rest.open_interest_history, pool=_DATA),
    "/futures/data/topLongShortAccountRatio": Endpoint(
        "positioning", partial(Rest.ratio_history, column="top_trader_ratio", field="longShortRatio"), pool=_DATA
    ),
    "/futures/data/topLongShortPositionRatio": Endpoint(
        "positioning",
        partial(Rest.ratio_history, column="top_trader_position_ratio", field="longShortRatio"),
        pool=_DATA,
    ),
    "/futures/data/globalLongShortAccountRatio": Endpoint(
        "positioning", partial(Rest.ratio_history, column="long_short_ratio", field="longShortRatio"), pool=_DATA
    ),
    "/futures/data/takerlongshortRatio": Endpoint(
        "positioning", partial(Rest.ratio_history, column="taker_ratio", field="buySellRatio", starts=True), pool=_DATA
    ),
    "/api/v3/ping": Endpoint("ping", Rest.ping, pool="spot"),
    "/api/v3/time": Endpoint("time", Rest.time, pool="spot"),
    "/api/v3/exchangeInfo": Endpoint("exchange_info", Rest.spot_exchange_info, lambda _: 20, pool="spot"),
}
