"""The budget of requests: limits of the exchange kept, refusals obeyed.

Belongs here: adding up what one hour asked. Does not belong: spending (`exchange.http.budget`).
"""

from collections.abc import Iterator, Sequence

from eth_pipeline.sandbox.request_log import RequestRecord
from eth_pipeline.settings import Settings

_FUTURES_DATA, _FUNDING = "/futures/data/", "/fapi/v1/fundingRate"
_FUTURES_DATA_PER_WINDOW, _FUNDING_PER_WINDOW = 1000, 500
_REFUSED = (418, 429)


def requests_within_budget(requests: Sequence[RequestRecord], *, settings: Settings, faulty: bool) -> Iterator[str]:
    """What the requests of one hour, oldest first, did beyond what this address may.

    All of an hour is held against the limits of one minute (of five, for the two counted endpoints).

    Args:
        faulty: a fault makes the exchange refuse; without one a 429 or 418 is our own doing.
    """
    usable = 1.0 - settings.exchange.weight_reserve_share
    rest = [request for request in requests if request.weight]
    limits = {
        "weight": (sum(r.weight for r in rest), settings.exchange.weight_limit_per_minute * usable),
        "futures data": (sum(r.path.startswith(_FUTURES_DATA) for r in rest), _FUTURES_DATA_PER_WINDOW * usable),
        "funding": (sum(r.path == _FUNDING for r in rest), _FUNDING_PER_WINDOW * usable),
    }
    yield from (f"{name}: {used} used, {limit:.0f} allowed" for name, (used, limit) in limits.items() if used > limit)
    refusals = [place for place, request in enumerate(requests) if request.status in _REFUSED]
    if refusals and not faulty:
        yield f"the exchange refused {len(refusals)} requests by itself"
    in_flight = 2 * settings.exchange.archive_parallel_downloads
    if refusals and (after := len(requests) - refusals[0] - 1) > in_flight:
        yield f"{after} requests were sent after a refusal, {in_flight} can have been under way"
