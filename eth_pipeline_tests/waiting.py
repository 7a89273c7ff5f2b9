"""Waiting for other processes in tests: a condition with a deadline, never a pause of fixed length.

Belongs here: the loop. Does not belong: conditions.
"""

import time
from collections.abc import Callable
from typing import TypeVar

Seen = TypeVar("Seen")


def wait_until(condition: Callable[[], Seen], *, seconds: float) -> Seen:
    """Ask until the answer is true, less and less often; an AssertionError when it never was."""
    deadline, pause = time.monotonic() + seconds, 0.02
    while not (seen := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s"
        time.sleep(pause)
        pause = min(1.5 * pause, 0.25)  # some questions cost a server more than the time between two of them
    return seen
