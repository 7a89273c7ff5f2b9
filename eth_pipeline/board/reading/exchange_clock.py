"""Exchange time for a process that never asks the exchange and never writes.

Belongs here: this host's clock, corrected by the offset that the hourly runs measured last. Does not belong:
measuring it (`exchange.http.exchange_time`).
"""

import sqlite3
from datetime import datetime, timedelta
from pathlib import Path

from eth_pipeline.board.reading.sqlite_view import first_row
from eth_pipeline.contracts.clock import Clock
from eth_pipeline.exchange.http.state import STATE_FILE

_OFFSET = "SELECT offset_seconds FROM offsets WHERE host = ?"


class ExchangeClock:
    """The exchange's clock as far as this host knows it.

    Args:
        host: this host's clock.
        home: where the runs keep what they measured.
        exchange: network location of the exchange.
    """

    def __init__(self, host: Clock, *, home: Path, exchange: str) -> None:
        self._host = host
        self._state = home / STATE_FILE
        self._exchange = exchange

    def now(self) -> datetime:
        """Timezone-aware exchange time, UTC; the host's own where no run has measured yet."""
        try:
            row = first_row(self._state, _OFFSET, (self._exchange,))
        except sqlite3.Error:  # a run is writing its first row, or the file is of another version
            row = None
        return self._host.now() + timedelta(seconds=row[0] if row else 0.0)
