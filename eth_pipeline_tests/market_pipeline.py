"""An embedded exchange, a lake, and ingestion between them, for tests of the data plane.

Belongs here: building and running it. Does not belong: assertions.
"""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from eth_pipeline.contracts.clock import Clock
from eth_pipeline.contracts.quality import GAP_LEDGER
from eth_pipeline.contracts.table import INSTANT
from eth_pipeline.contracts.tables import STREAMS
from eth_pipeline.exchange.http.transport import Transport
from eth_pipeline.exchange.ingest import IngestResult, ingest_stream
from eth_pipeline.exchange.streams import stream_named
from eth_pipeline.lake import Lake
from eth_pipeline.sandbox.market import Market
from eth_pipeline.sandbox.server import Sandbox
from eth_pipeline.sandbox.synthetic import SyntheticMarket
from eth_pipeline.settings import ExchangeSettings, Settings

START = datetime(2025, 1, 20, tzinfo=UTC)  # a head of eleven days, one whole month, a tail of ten days
NOW = datetime(2025, 3, 10, 12, tzinfo=UTC)
HOUR, QUARTER = timedelta(hours=1), timedelta(minutes=15)
MARKET = SyntheticMarket(seed=7, start=START, end=NOW + timedelta(days=2), symbols=("ETHUSDT", "BTCUSDT"))


@dataclasses.dataclass
class Pipeline:
    """A sandbox, a lake, and the settings between them."""

    sandbox: Sandbox
    home: Path
    settings: Settings

    @property
    def lake(self) -> Lake:
        return Lake(self.settings.lake_location)

    @contextmanager
    def transport(self, clock: Clock | None = None) -> Iterator[Transport]:
        with Transport(self.settings.exchange, state_path=self.home / "exchange_state.sqlite", clock=clock) as door:
            yield door

    def ingest(
        self, stream: str = "klines", *, now: datetime | None = None, clock: Clock | None = None
    ) -> tuple[IngestResult, ...]:
        """One ingestion by a new process: new transport, same state file."""
        with self.transport(clock) as transport:
            return ingest_stream(
                stream,
                transport=transport,
                lake=self.lake,
                settings=self.settings,
                now=now or self.sandbox.clock.now(),
            )

    def ingest_all(self) -> list[IngestResult]:
        return [result for stream in STREAMS for result in self.ingest(stream)]

    def ledger(self, *columns: str, where: pl.Expr | None = None) -> list[tuple[Any, ...]]:
        """Chosen columns of the ledger, without the entries about the time before a listing."""
        rows = self.lake.read(GAP_LEDGER, where=where).filter(pl.col("cause") != "not_listed")
        return rows.sort("stream", "symbol", "time", "cause").select(columns).rows()

    def true_instants(self, stream: str, symbol: str = "ETHUSDT") -> list[datetime]:
        """Instants of every row of the market that was known at the exchange's time."""
        spec, now = stream_named(stream, self.settings), self.sandbox.clock.now()
        market = self.sandbox.market
        if stream == "funding_rates":
            frame = market.funding(symbol, until=now).select(pl.col("funding_time") // 1000 * 1000)
        elif stream in ("open_interest", "positioning"):
            frame = (
                market.open_interest(symbol, until=now)
                .select("period_end")
                .filter(pl.col("period_end") % 3_600_000 == 0)
            )
        else:
            frame = market.bars(stream, symbol, until=now).select("open_time")  # type: ignore[arg-type]  # a bar stream
        times = pl.from_epoch(frame.to_series(), "ms").dt.replace_time_zone("UTC").cast(INSTANT)
        start = max(self.settings.history_start, spec.archive_since)
        return [time for time in times if start <= time <= now - spec.known_after]

    def stored_instants(self, stream: str, symbol: str = "ETHUSDT") -> list[datetime]:
        spec = stream_named(stream, self.settings)
        rows = self.lake.read(spec.contract, where=pl.col("symbol") == symbol)
        return rows[spec.time_column].to_list()


Make = Callable[..., Pipeline]


@contextmanager
def pipelines(folder: Path) -> Iterator[Make]:
    """A maker of pipelines below `folder`; their exchanges stop at the end."""
    running: list[Sandbox] = []

    def start(
        *,
        market: Market = MARKET,
        now: datetime = NOW,
        history_start: datetime = START,
        cross: tuple[str, ...] = (),
        base_interval: str = "15m",
        name: str = "",
        clock_speed: float = 0.0,
        **exchange: Any,
    ) -> Pipeline:
        sandbox = Sandbox(market, now=now, clock_speed=clock_speed).start()
        running.append(sandbox)
        urls = {**sandbox.exchange_urls(), "attempts": 1, "bar_wait_seconds": 0.0}
        settings = Settings(
            home=folder / name,
            cross_symbols=cross,
            history_start=history_start,
            base_interval=base_interval,  # type: ignore[arg-type]  # text of the caller
            exchange=ExchangeSettings.model_validate({**urls, **exchange}),
        )
        return Pipeline(sandbox, folder / name, settings)

    yield start
    for sandbox in running:
        sandbox.stop()
