"""A range of a stream, asked for by hand: the same ingestion with other ends.

Belongs here: the ends. Does not belong: how rows are fetched (`exchange.ingest`).
"""

from datetime import datetime

from eth_pipeline.contracts.clock import iso, require_utc
from eth_pipeline.errors import SettingsInvalid
from eth_pipeline.exchange.http.transport import Transport
from eth_pipeline.exchange.ingest import ingest_stream
from eth_pipeline.exchange.result import IngestResult
from eth_pipeline.lake import Lake
from eth_pipeline.settings import Settings


def backfill_stream(
    stream: str,
    *,
    first: datetime,
    end: datetime,
    transport: Transport,
    lake: Lake,
    settings: Settings,
    now: datetime,
) -> tuple[IngestResult, ...]:
    """Bring [first, end) of every symbol of `stream` into the lake; what is there already is not asked for.

    Idempotent, and safe while the hourly run goes on: both write by key in atomic commits.

    Args:
        first: start of the range; earlier than `settings.history_start` is allowed.
        end: exclusive end, cut at `now`.
        now: exchange time.

    Raises:
        SettingsInvalid: the range is empty.
        As `ingest_stream`.
    """
    until = min(require_utc(end), require_utc(now))
    if require_utc(first) >= until:
        raise SettingsInvalid(f"Nothing lies between {iso(first)} and {iso(until)}. Choose an earlier start.")
    ranged = settings.model_copy(update={"history_start": require_utc(first)})
    return ingest_stream(stream, transport=transport, lake=lake, settings=ranged, now=until)
