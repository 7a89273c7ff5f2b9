"""Signal records as rows of the table `signals`.

Belongs here: the one mapping. Does not belong: reading a record back (`contracts.signal`), storing rows.
"""

import json
from collections.abc import Iterable

import polars as pl

from eth_pipeline.contracts.decision_tables import SIGNALS
from eth_pipeline.contracts.signal import SignalRecord


def signal_rows(records: Iterable[SignalRecord]) -> pl.DataFrame:
    """One row of `SIGNALS` per record, in the order given."""
    return pl.DataFrame([_values(record) for record in records], schema=SIGNALS.schema)


def _values(record: SignalRecord) -> dict[str, object]:
    return {
        "symbol": record.symbol,
        "phase": record.phase,
        "decision_time": record.decision_time,
        "available_at": record.emitted_at,
        "state": str(record.state),
        "action": str(record.action),
        "allow_open": record.allow_open,
        "position_share": record.position_share,
        "gating_reason": record.gating_reason,
        "model_version": record.model_version,
        "ml_available": record.ml.ml_available,
        "consensus_strength": record.consensus_strength,
        "run_id": record.run_id,
        "provenance": record.provenance,
        "record": json.dumps(record.flat(), allow_nan=False),
    }
