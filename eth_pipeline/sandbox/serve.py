"""Running the embedded exchange in the foreground, for the command line.

Belongs here: the blocking entry. Does not belong: options and printing (`cli`).
"""

from collections.abc import Callable
from datetime import datetime

from eth_pipeline.sandbox.limits import Limits
from eth_pipeline.sandbox.market import Market
from eth_pipeline.sandbox.server import Sandbox


def serve(
    market: Market,
    *,
    now: datetime,
    port: int,
    clock_speed: float,
    limits: Limits | None = None,
    announce: Callable[[Sandbox], None] = lambda _: None,
) -> None:
    """Serve `market` until interrupted.

    Args:
        market: What is traded.
        now: Virtual time at the start.
        port: Port of 127.0.0.1, 0 for a free one.
        clock_speed: Virtual seconds per real second.
        limits: Request limits; the real ones by default.
        announce: Called once with the sandbox before it serves; its `url` is known by then.

    Raises:
        SettingsInvalid: the port is taken.
        KeyboardInterrupt: after a clean stop by Ctrl-C.
    """
    Sandbox(market, now=now, port=port, clock_speed=clock_speed, limits=limits).serve_forever(announce)
