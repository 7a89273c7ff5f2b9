"""What an account must remember to go on without its older events.

Belongs here: the value, and its text form that is refused when anything about it is wrong. Does not belong: where it
is kept (`storage`), using it (`book`).

A memory is a shortcut, never a source: the ledger alone is the account, and whoever finds a memory that is damaged,
of another layout or of another ledger replays the ledger instead.
"""

import hashlib
from dataclasses import dataclass, fields
from datetime import datetime, timedelta

from pydantic import TypeAdapter, ValidationError

from eth_pipeline.trading.ledger import AccountState, Event
from eth_pipeline.trading.risk import WEEK, EquityPoint

LATE_FUNDING_WINDOW = timedelta(days=40)
"""How far back a settlement may become known late and still be charged: the archive publishes funding monthly."""


@dataclass(frozen=True)
class Memory:
    """The account after its `last_event`, and as much of the past as later hours may ask for.

    Attributes:
        begun: time of the first event.
        charged: funding settlements charged within `LATE_FUNDING_WINDOW`.
        positions: instant and position after each change within that window, and the newest change before it.
        equity: equity by the hour of the last 168 hours, and the newest point before.
        peak_equity_usdt: highest equity since `peak_since`.
        peak_since: the setting `drawdown_since` it was counted with.
    """

    state: AccountState
    last_event: Event
    begun: datetime
    charged: tuple[datetime, ...]
    positions: tuple[tuple[datetime, float], ...]
    equity: tuple[EquityPoint, ...]
    peak_equity_usdt: float
    peak_since: datetime | None

    def pruned(self) -> "Memory":
        """Without what no later hour can ask for."""
        now = self.state.processed_until or self.begun
        oldest = now - LATE_FUNDING_WINDOW
        return Memory(
            state=self.state,
            last_event=self.last_event,
            begun=self.begun,
            charged=tuple(instant for instant in self.charged if instant >= oldest),
            positions=self.positions[max(sum(time < oldest for time, _ in self.positions) - 1, 0) :],
            equity=self.equity[max(sum(point.time <= now - WEEK for point in self.equity) - 1, 0) :],
            peak_equity_usdt=self.peak_equity_usdt,
            peak_since=self.peak_since,
        )


_ADAPTER = TypeAdapter(Memory)
_LAYOUT = ",".join(field.name for part in (Memory, AccountState, Event) for field in fields(part))


def to_text(memory: Memory) -> tuple[str, str]:
    """JSON of a memory and the digest that proves it."""
    text = _ADAPTER.dump_json(memory).decode()
    return text, _digest(text)


def from_text(text: str, *, digest: str) -> Memory | None:
    """The memory that `to_text` wrote; None where the text was changed or this code has another layout."""
    if _digest(text) != digest:
        return None
    try:
        return _ADAPTER.validate_json(text)
    except ValidationError:
        return None


def _digest(text: str) -> str:
    return hashlib.sha256(f"{_LAYOUT}\n{text}".encode()).hexdigest()
