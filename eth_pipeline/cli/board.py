"""`board`: the read-only pages and the JSON API in the foreground.

Belongs here: options, the clock, what is printed. Does not belong: the board (`board`).
"""

from typing import Annotated
from urllib.parse import urlsplit

import typer

from eth_pipeline.cli.console import out, refuse_on_error
from eth_pipeline.contracts.clock import SystemClock
from eth_pipeline.settings import load_settings


def board(
    host: Annotated[str, typer.Option(help="Address to listen on; anything but loopback needs a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 picks a free one.")] = 5003,
) -> None:
    """Show signals, streams, forecast, account, model and alerts in a browser and as JSON, until Ctrl-C.

    Read-only. The token is read from the file that ETH_PIPELINE_BOARD__TOKEN_FILE names; without one the board listens
    on loopback only.
    """
    with refuse_on_error():
        from eth_pipeline.board.reading.exchange_clock import ExchangeClock
        from eth_pipeline.board.web.server import BoardServer

        settings = load_settings()
        exchange = urlsplit(settings.exchange.futures_url).netloc
        clock = ExchangeClock(SystemClock(), home=settings.home, exchange=exchange)

        def announce(server: BoardServer) -> None:
            out.print(f"Board        {server.url}", soft_wrap=True, highlight=False)

        BoardServer(settings, clock=clock, host=host, port=port).serve_forever(announce)
