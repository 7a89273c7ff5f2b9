"""Waiting for other processes in tests: a condition with a deadline, never a pause of fixed length.

Belongs here: the loop. Does not belong: conditions.
"""

import time
from collections.abc import Callable
from typing import TypeVar

Seen = TypeVar("Seen")


def wait_until(condition: Callable[[], Seen], *, seconds: float) -> Seen:
    """Ask until the answer is true; an AssertionError when it never was."""
    deadline = time.monotonic() + seconds
    while not (seen := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s"
        time.sleep(0.05)
    return seen
