"""How long one request may wait and try again.

Belongs here: the retry decision of a single request and the reading of Retry-After. Does not belong: sending
(`transport`), pauses that outlive a request (`budget`).
"""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from eth_pipeline.errors import ExchangeUnavailable, RateLimited

PATIENCE_SECONDS = 30.0  # all ordered pauses inside one request; a longer one is the caller's decision
_AFTER_THE_WINDOW_SECONDS = 0.05


class Patience:
    """Backoff hook of one request: says whether another try may follow, and after which pause."""

    def __init__(self) -> None:
        self._left_seconds = PATIENCE_SECONDS

    def __call__(self, error: Exception) -> bool | float:
        """True: try again after the usual backoff; a number: after that many seconds; False: give up."""
        if isinstance(error, ExchangeUnavailable):
            return True
        if isinstance(error, RateLimited) and error.retry_after_seconds is not None:
            pause = error.retry_after_seconds + _AFTER_THE_WINDOW_SECONDS
            if pause <= self._left_seconds:
                self._left_seconds -= pause
                return pause
        return False


def retry_after_seconds(header: str | None, *, otherwise: float, now: datetime) -> float:
    """Seconds of a Retry-After header, a number or an HTTP date; `otherwise` where it says nothing readable."""
    if header is None:
        return otherwise
    if header.strip().isdigit():
        return float(header)
    try:
        return max(0.0, (parsedate_to_datetime(header).astimezone(UTC) - now).total_seconds())
    except ValueError:
        return otherwise
