"""Events: no line, no announced change and no entry of the promotion log is lost.

Belongs here: looking for the traces that every record must have left. Does not belong: the records themselves
(`records`).
"""

import gzip
import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import polars as pl

from eth_pipeline.contracts.clock import iso
from eth_pipeline.contracts.decision_tables import TRANSITIONS
from eth_pipeline.contracts.signal import SignalRecord
from eth_pipeline.errors import ContractViolation
from eth_pipeline.lake import Lake
from eth_pipeline.registry.promotions.promotion_log import PromotionLog
from eth_pipeline.settings import Settings
from eth_pipeline.signals.gating.transitions import new_transitions


def no_event_lost(lake: Lake, records: Sequence[SignalRecord], *, settings: Settings, since: datetime) -> Iterator[str]:
    """Records of `since` and later without their line or their announced change; a promotion log that is not whole."""
    recent = [record for record in records if record.decision_time >= since]
    lines = _lines(settings.home / "logs", recent)
    for record in recent:
        written = lines.get(record.decision_time)
        if written is None:
            yield f"{iso(record.decision_time)} has a record and no line in the log"
        elif written != (record.run_id, str(record.state)):
            yield f"{iso(record.decision_time)}: the log's last line is of another evaluation than the record"
    mine = (pl.col("symbol") == settings.symbol) & (pl.col("phase") == settings.phase)
    missing = new_transitions(
        list({record.decision_time: record for record in records}.values()), known=lake.read(TRANSITIONS, where=mine)
    )
    for row in missing.iter_rows(named=True):
        yield f"{iso(row['decision_time'])}: {row['from_state']} to {row['to_state']} was never announced"
    try:
        PromotionLog.of(settings.home).verify()
    except ContractViolation as error:
        yield str(error)


def _lines(folder: Path, records: Sequence[SignalRecord]) -> dict[datetime, tuple[str, str]]:
    """Run and state of the last line of each hour."""
    found: dict[datetime, tuple[str, str]] = {}
    for name in sorted({f"signals_{record.decision_time:%Y%m%d}.jsonl" for record in records}):
        plain, packed = folder / name, folder / f"{name}.gz"
        text = gzip.decompress(packed.read_bytes()).decode() if packed.exists() else ""
        text += plain.read_text() if plain.exists() else ""
        for line in text.splitlines():
            try:
                data = json.loads(line)["data"]
            except ValueError:  # cut off by a full disk; its record must have another line
                continue
            found[datetime.fromisoformat(data["decision_time"])] = (data["run_id"], data["state"])
    return found
