"""A seeded market: the same seed and start give the same rows for ever, however far it is asked to run.

Belongs here: the market object, its horizon and its lock. Does not belong: the process (`paths`), bars made of it
(`synthetic_rows`), aggregation (`market`), visibility (`view`).

A row is a function of the seed, the start and its own past.
"""

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import numpy as np
import polars as pl

from eth_pipeline.contracts.clock import floor_interval, require_utc, to_milliseconds
from eth_pipeline.errors import SettingsInvalid
from eth_pipeline.sandbox.bar_streams import BarStream
from eth_pipeline.sandbox.paths import simulate
from eth_pipeline.sandbox.processes import Noise
from eth_pipeline.sandbox.synthetic_rows import STEP_MS, SyntheticRows

STEP = timedelta(minutes=15)
_AHEAD = timedelta(days=45)


@dataclass(frozen=True)
class _Generated:
    """Everything of one symbol up to one horizon."""

    bars: dict[BarStream, pl.DataFrame]
    funding: pl.DataFrame
    open_interest: pl.DataFrame
    driver: pl.DataFrame


class SyntheticMarket:
    """Perpetual, spot, mark, premium, funding and open interest of a few symbols at 15 minutes (5 for the latter).

    Args:
        seed: Same seed and start, same market.
        start: Listing instant of every symbol, a multiple of 15 minutes.
        end: Nothing exists after it; None runs for ever. Rows before it do not depend on it.
        signal_strength: Size of the planted signal, 0 for none; 1.0 gives an oracle about 0.59 AUC on 5 hours.
        symbols: Perpetuals to list.

    Raises:
        SettingsInvalid: `start` is not a multiple of 15 minutes, `end` is not after it, or strength is negative.
    """

    provenance: Literal["simulated"] = "simulated"
    base_interval = STEP

    def __init__(
        self,
        *,
        seed: int,
        start: datetime,
        end: datetime | None = None,
        signal_strength: float = 1.0,
        symbols: tuple[str, ...] = ("ETHUSDT", "BTCUSDT", "SOLUSDT", "BNBUSDT"),
    ) -> None:
        self.start, self.end = require_utc(start), None if end is None else require_utc(end)
        if floor_interval(self.start, STEP) != self.start:
            raise SettingsInvalid(f"the market starts at {start}, which is no multiple of 15 minutes. Round it.")
        if self.end is not None and self.end <= self.start:
            raise SettingsInvalid(f"the market ends at {end}, not after its start {start}. Move the end.")
        if signal_strength < 0:
            raise SettingsInvalid(f"signal strength {signal_strength} is negative. Use 0 for no signal.")
        self.seed, self.signal_strength, self.symbols = seed, signal_strength, symbols
        self._noise = Noise(seed)
        self._generated: dict[str, tuple[datetime, _Generated]] = {}
        self._lock = threading.Lock()

    def bars(self, stream: BarStream, symbol: str, *, until: datetime) -> pl.DataFrame:
        """Bars of 15 minutes in `BAR_SCHEMA`, at least up to `until`."""
        return self._of(symbol, until).bars[stream]

    def funding(self, symbol: str, *, until: datetime) -> pl.DataFrame:
        """Settlements every 8 hours, a few milliseconds late as on Binance, in `FUNDING_SCHEMA`."""
        return self._of(symbol, until).funding

    def open_interest(self, symbol: str, *, until: datetime) -> pl.DataFrame:
        """Snapshots every 5 minutes in `OPEN_INTEREST_SCHEMA`."""
        return self._of(symbol, until).open_interest

    def driver(self, symbol: str, *, until: datetime | None = None) -> pl.DataFrame:
        """The planted driver, for tests only: `known_at` (end of the step) and `driver` (mean 0, variance 1).

        It acts on returns after `known_at`. `until` defaults to the market's end.

        Raises:
            SettingsInvalid: neither `until` nor an end is given.
        """
        horizon = until or self.end
        if horizon is None:
            raise SettingsInvalid("this market has no end: say `until` when you ask for its driver.")
        return self._of(symbol, horizon).driver.filter(pl.col("known_at") <= horizon)

    def _of(self, symbol: str, until: datetime) -> _Generated:
        wanted = require_utc(until) if self.end is None else min(require_utc(until), self.end)
        with self._lock:
            held = self._generated.get(symbol)
            if held is None or held[0] < wanted:
                horizon = wanted + _AHEAD if self.end is None else min(wanted + _AHEAD, self.end)
                held = (horizon, self._generate(symbol, horizon))
                self._generated[symbol] = held
            return held[1]

    def _generate(self, symbol: str, horizon: datetime) -> _Generated:
        n = max(0, (horizon - self.start) // STEP)
        first_step = to_milliseconds(self.start) // STEP_MS
        paths = simulate(self._noise, symbol, first_step=first_step, n=n, strength=self.signal_strength)
        times = (first_step + np.arange(n, dtype=np.int64)) * STEP_MS
        rows = SyntheticRows(self._noise, symbol, paths, times)
        known_at = pl.from_epoch(pl.Series("known_at", times + STEP_MS), time_unit="ms").dt.cast_time_unit("us")
        return _Generated(
            bars={
                "klines": rows.perpetual(),
                "mark_klines": rows.mark(),
                "spot_klines": rows.spot(),
                "premium_klines": rows.premium(),
            },
            funding=rows.funding(),
            open_interest=rows.open_interest(),
            driver=pl.DataFrame({"known_at": known_at.dt.replace_time_zone("UTC"), "driver": paths.driver}),
        )
