"""REST rows of a time range, page by page, until the range is proven complete.

Belongs here: paging. Does not belong: sending (`exchange.http.transport`), which ranges are wanted (`ingest`), parsing.

A short page proves nothing: an exchange that cuts an answer sends the same 200 as a complete one. The next
request starts after the newest row received, and only an empty answer or the last instant ends a range.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

import polars as pl

from eth_pipeline.contracts.clock import to_milliseconds
from eth_pipeline.exchange.http.transport import Transport
from eth_pipeline.exchange.streams import Stream

_SECOND = timedelta(seconds=1)


def fetch_pages(
    transport: Transport, stream: Stream, symbol: str, *, first: datetime, last: datetime
) -> Iterator[pl.DataFrame]:
    """Yield the rows with `first` <= instant <= `last`, ascending. A row that the exchange repeats is repeated here.

    Raises:
        RetryLater, NeedsHuman: as `Transport.get_json`; pages already yielded are complete up to their last row.
    """
    cursor = first
    while cursor <= last:
        window_end = min(last, cursor + (stream.page_rows - 1) * stream.step) if stream.pages_are_windows else last
        page = _page(transport, stream, symbol, first=cursor, last=window_end)
        newest = page[stream.time_column].max()
        if isinstance(newest, datetime):
            yield page
            # One second, not one millisecond: settlements are published some milliseconds late and rounded.
            cursor = newest + _SECOND
        elif window_end < last:
            cursor = window_end + _SECOND
        else:
            return


def _page(transport: Transport, stream: Stream, symbol: str, *, first: datetime, last: datetime) -> pl.DataFrame:
    rows = stream.page_rows
    if stream.spacing == "fixed":
        rows = min(rows, (last - first) // stream.step + 1)
    payloads = [
        transport.get_json(
            question.endpoint,
            {
                question.asks_for: symbol,
                **question.params,
                "startTime": to_milliseconds(first - question.label_before),
                "endTime": to_milliseconds(last - question.label_before) + 999,  # the same rounding, at the other end
                "limit": (rows - 1) * question.rows_per_step + 1,
            },
            cost=stream.page_cost(rows),
        )
        for question in stream.questions
    ]
    page = stream.read_page(*payloads)
    times = page[stream.time_column]
    asked_for = (times >= first) & (times <= last)
    if not asked_for.all(ignore_nulls=False):
        page = page.filter(asked_for)
    in_order = page[stream.time_column].is_sorted()
    return page if in_order else page.sort(stream.time_column, maintain_order=True)
