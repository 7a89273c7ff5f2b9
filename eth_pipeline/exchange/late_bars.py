"""Waiting for a bar that has just closed and is not published yet.

Belongs here: whether another look is worth a pause. Does not belong: looking (`ingest`). An hourly run starts in
the second in which its bar closes; a short pause there is cheaper than an hour without that bar.
"""

import time
from datetime import datetime, timedelta

from eth_pipeline.errors import RetryLater
from eth_pipeline.exchange.http.transport import Transport

_PAUSE_SECONDS = 0.25


def is_worth_another_look(transport: Transport, *, closed_at: datetime, patience: timedelta) -> bool:
    """Pause briefly while a bar that closed at `closed_at` may still appear; False when it is no longer young.

    Time is the exchange's. A clock that stands still (a replay) cannot bring a bar: False as well.
    """
    try:
        before = transport.server_time()
        if before - closed_at >= patience:
            return False
        time.sleep(_PAUSE_SECONDS)
        return transport.server_time() > before
    except RetryLater:
        return False
