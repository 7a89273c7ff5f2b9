"""Changes of state, announced once each.

Belongs here: which rows of `TRANSITIONS` new records add. Does not belong: the states (`states`, `policy`), storing
the rows, delivering alerts (`operations`).

The table is what was announced, so it is only ever added to: an hour that was blocked, announced, and then decided
again within its hour has two rows. New rows are a function of the records that stand and of the rows that are known;
asking again with the same records adds nothing, so an alert per new alertable row is an alert per change.

A record that comes late, behind an hour that was announced already (an hour that nobody decided, filled in after a
dead run), is recorded and raises no alert: the newer announcement is the state of things.
"""

from bisect import bisect_right
from collections.abc import Sequence

import polars as pl

from eth_pipeline.contracts.decision_tables import TRANSITIONS
from eth_pipeline.contracts.signal import SignalRecord, SignalState


def new_transitions(records: Sequence[SignalRecord], *, known: pl.DataFrame) -> pl.DataFrame:
    """Rows that `records` add to the announced ones.

    Args:
        records: those that stand, of one symbol and one phase, one per hour, in any order. A re-emission hands in the
            same records again, or any part of them.
        known: rows of `TRANSITIONS` of that symbol and phase, all of them or at least the newest one before the first
            record and all since; empty for a first run or a rebuild.

    Returns:
        Rows of `TRANSITIONS`; those with `alertable` are to be alerted, each once.

    Raises:
        ValueError: records of more than one symbol or phase, or two of one hour.
    """
    _require_one_series(records)
    announced = known.sort("decision_time", "step").select("decision_time", "step", "to_state").rows()
    hours = [row[0] for row in announced]
    added = []
    for record in sorted(records, key=lambda record: record.decision_time):
        place = bisect_right(hours, record.decision_time)
        last_hour, last_step, from_state = announced[place - 1] if place else (None, -1, None)
        if from_state == record.state:
            continue
        step = last_step + 1 if last_hour == record.decision_time else 0
        added.append(_row(record, from_state=from_state, step=step, is_late=place < len(announced)))
        hours.insert(place, record.decision_time)
        announced.insert(place, (record.decision_time, step, str(record.state)))
    return TRANSITIONS.conform(pl.DataFrame(added, schema=TRANSITIONS.schema))


def is_alertable(*, from_state: str | None, record: SignalRecord, is_late: bool) -> bool:
    """Every change is, but a good beginning and what came too late to be news."""
    began_well = from_state is None and record.state is SignalState.TRADEABLE
    return not began_well and not is_late


def _row(record: SignalRecord, *, from_state: str | None, step: int, is_late: bool) -> dict[str, object]:
    return {
        "symbol": record.symbol,
        "phase": record.phase,
        "decision_time": record.decision_time,
        "step": step,
        "available_at": record.emitted_at,
        "from_state": from_state,
        "to_state": str(record.state),
        "reasons": ",".join(dict.fromkeys(str(reason.code) for reason in record.reasons)),
        "detail": record.gating_reason,
        "alertable": is_alertable(from_state=from_state, record=record, is_late=is_late),
        "provenance": record.provenance,
    }


def _require_one_series(records: Sequence[SignalRecord]) -> None:
    series = {(record.symbol, record.phase) for record in records}
    if len(series) > 1:
        raise ValueError(f"Records of {sorted(series)} were mixed; a state belongs to one symbol and one phase.")
    if len({record.decision_time for record in records}) < len(records):
        raise ValueError("Two records share an hour; hand in the one that stands (`SignalLog` says which).")
