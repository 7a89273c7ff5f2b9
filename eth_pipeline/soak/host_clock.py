"""Letting time pass for what this host remembers.

Belongs here: making the shared state of the exchange older. Does not belong: the exchange's clock (it is virtual and
simply set). A soak cannot move this host's clock, so an hour passes for budgets, holds, breakers and the measured
offset by moving their instants into the past. A host whose clock was set wrong is the same without an hour passing.
"""

from pathlib import Path

from eth_pipeline.exchange.http.state import HostState

_OLDER = (
    "UPDATE spent SET window_start = window_start - ?",
    "UPDATE holds SET until = until - ?",
    "UPDATE breakers SET changed_at = changed_at - ?",
    "UPDATE offsets SET measured_at = measured_at - ?",
    "UPDATE offsets SET offset_seconds = offset_seconds + ?",
)


def let_pass(state: Path, *, seconds: float) -> None:
    """Everything that the file remembers happened `seconds` longer ago; negative: the clock was set back."""
    host = HostState(state)
    try:
        with host.transaction() as db:
            for statement in _OLDER:
                db.execute(statement, (seconds,))
    finally:
        host.close()
