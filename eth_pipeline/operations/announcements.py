"""Changes of state, kept: one row per change, whoever recorded the hour.

Belongs here: storing what `signals.gating.transitions` finds new. Does not belong: finding it, telling people
(`operations.alerting`).
"""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from eth_pipeline.contracts.decision_tables import TRANSITIONS
from eth_pipeline.contracts.signal import SignalRecord
from eth_pipeline.lake import Lake
from eth_pipeline.registry.atomic import exclusive
from eth_pipeline.signals.gating.transitions import new_transitions


def announce(lake: Lake, records: Sequence[SignalRecord], *, folder: Path) -> pl.DataFrame:
    """Store the changes of state that `records` add to the announced ones, and return the new rows.

    Args:
        lake: holds the table.
        records: that stand, of one symbol and one phase; handing them in again adds nothing.
        folder: of the lock that makes writers of this host take turns.
    """
    if not records:
        return TRANSITIONS.empty()
    ours = (pl.col("symbol") == records[0].symbol) & (pl.col("phase") == records[0].phase)
    with exclusive(folder / ".transitions.lock"):
        added = new_transitions(records, known=lake.read(TRANSITIONS, where=ours))
        if added.height:
            lake.upsert(TRANSITIONS, added)
    return added
