"""The records: one for every hour, and a good one in a calm hour.

Belongs here: reading and counting them. Does not belong: the input behind a record (`inputs`), its traces (`events`).
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime

import polars as pl

from eth_pipeline.contracts.clock import HOUR, iso
from eth_pipeline.contracts.decision_tables import SIGNALS
from eth_pipeline.contracts.signal import ReasonCode, SignalRecord, SignalState, record_from_json
from eth_pipeline.contracts.table import at
from eth_pipeline.lake import Lake
from eth_pipeline.settings import Settings


def read_records(
    lake: Lake, *, settings: Settings, first: datetime, parsed: dict[str, SignalRecord] | None = None
) -> list[SignalRecord]:
    """Every stored record from `first` on, oldest first, doubles included.

    Args:
        parsed: records by their text, of whoever asks every hour; what is new is added.
    """
    known = {} if parsed is None else parsed
    mine = (pl.col("symbol") == settings.symbol) & (pl.col("phase") == settings.phase)
    rows = lake.read(SIGNALS, where=mine & (pl.col("decision_time") >= at(first)))
    texts = rows.sort("decision_time")["record"].to_list()
    for text in texts:
        if text not in known:
            known[text] = record_from_json(text)
    return [known[text] for text in texts]


def one_record_per_hour(records: Sequence[SignalRecord], *, first: datetime, last: datetime | None) -> Iterator[str]:
    """Doubles anywhere, and hours of [first, last] without a record; None where no run reached its end yet."""
    seen = Counter(record.decision_time for record in records)
    yield from (f"{iso(hour)} has {count} records" for hour, count in sorted(seen.items()) if count > 1)
    hours = 0 if last is None else int((last - first) / HOUR) + 1
    yield from (f"{iso(first + n * HOUR)} has no record" for n in range(hours) if first + n * HOUR not in seen)


def well_again(record: SignalRecord | None, *, is_calm: bool) -> Iterator[str]:
    """A blocked or absent record of a calm hour. A limit of the account may block in any weather."""
    if not is_calm:
        return
    if record is None:
        yield "the hour has no record"
    elif record.state is SignalState.BLOCKED and {reason.code for reason in record.reasons} != {ReasonCode.RISK_LIMIT}:
        yield f"blocked in a calm hour: {record.gating_reason}"
