"""`serve-model`: the inference service in the foreground.

Belongs here: options, the clock, what is printed. Does not belong: the service (`serving`).
"""

from datetime import datetime
from typing import Annotated
from urllib.parse import urlsplit

import typer

from eth_pipeline.cli.console import out, refuse_on_error
from eth_pipeline.contracts.clock import SystemClock, iso
from eth_pipeline.exchange.http.exchange_time import newest_offset
from eth_pipeline.exchange.http.state import HostState
from eth_pipeline.settings import load_settings


def serve_model(
    host: Annotated[str, typer.Option(help="Address to listen on; anything but loopback needs a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 picks a free one.")] = 5002,
) -> None:
    """Serve the verified production bundle in MLflow's scoring protocol until Ctrl-C.

    The token is read from ETH_PIPELINE_INFERENCE__TOKEN_FILE or ETH_PIPELINE_INFERENCE__TOKEN. A promotion or rollback
    on this host is served from the next request on.
    """
    with refuse_on_error():
        from eth_pipeline.defs.resources import exchange_state
        from eth_pipeline.serving.server import InferenceServer

        settings = load_settings()
        state = HostState(exchange_state(settings))
        clock = HostClock(state, exchange=urlsplit(settings.exchange.futures_url).netloc)

        def announce(server: InferenceServer) -> None:
            forecaster = server.served.current().forecaster
            info = forecaster.info
            out.print(
                f"Serving version {info.version} ({info.fingerprint[:12]}, expires {iso(info.contract.expires_at)}) "
                f"on {', '.join(forecaster.providers)} at {server.url}",
                soft_wrap=True,
                highlight=False,
            )

        InferenceServer(settings, clock=clock, host=host, port=port).serve_forever(announce)


class HostClock:
    """Exchange time without asking the exchange: this host's clock and the offset that the hourly runs measured last.

    Args:
        state: where they keep it.
        exchange: network location of the exchange.
    """

    def __init__(self, state: HostState, *, exchange: str) -> None:
        self._state = state
        self._exchange = exchange

    def now(self) -> datetime:
        """Timezone-aware exchange time, UTC; the host's own where no run has measured yet."""
        offset, now = newest_offset(self._state, self._exchange), SystemClock().now()
        return now if offset is None else now + offset.offset
