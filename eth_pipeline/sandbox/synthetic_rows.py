"""Bars, settlements and snapshots made of a simulated path.

Belongs here: rounding to ticks, highs and lows, volumes, funding arithmetic. Does not belong: the process (`paths`),
the market object (`synthetic`). Bars of one step hold together: the open is the close before, high and low are the
exact extremes of a Brownian bridge, spot and mark bars hang on the perpetual's.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from eth_pipeline.sandbox.market import BAR_SCHEMA, FUNDING_SCHEMA, MINUTE_MS, OPEN_INTEREST_SCHEMA, symbol_facts
from eth_pipeline.sandbox.paths import CHARACTERS, ORDINARY, STEPS_PER_HOUR, Paths
from eth_pipeline.sandbox.processes import Floats, Noise, moving_average

STEP_MS = 15 * MINUTE_MS
SNAPSHOTS_PER_STEP = 3
FUNDING_STEPS = 8 * STEPS_PER_HOUR
INTEREST_RATE = 0.0001


class SyntheticRows:
    """Bars, settlements and snapshots of one symbol from its paths; `times` are open times in milliseconds."""

    def __init__(self, noise: Noise, symbol: str, paths: Paths, times: NDArray[np.int64]) -> None:
        self.noise, self.symbol, self.paths, self.times = noise, symbol, paths, times
        self.n = len(times)
        facts = symbol_facts(symbol)
        self.price_decimals, self.quantity_decimals = facts.price_decimals, facts.quantity_decimals
        self.character = CHARACTERS.get(symbol, ORDINARY)
        close = np.exp(paths.log_price)
        first = np.full(min(1, self.n), self.character.first_price_usdt)
        self.close = close.round(self.price_decimals)
        self.open = np.concatenate((first, close))[: self.n].round(self.price_decimals)
        move = np.log(self.close / self.open)
        top, bottom = self._extremes(move)
        self.high = np.maximum(self.open * np.exp(top), np.maximum(self.open, self.close)).round(self.price_decimals)
        self.low = np.minimum(self.open * np.exp(bottom), np.minimum(self.open, self.close)).round(self.price_decimals)

    def _extremes(self, move: Floats) -> tuple[Floats, Floats]:
        """Highest and lowest log price within each step: extremes of a Brownian bridge with the step's volatility."""
        variance = 2.0 * self.paths.sigma**2
        up = np.sqrt(move**2 - variance * np.log(self.noise.uniform(f"{self.symbol}/high", self.n)))
        down = np.sqrt(move**2 - variance * np.log(self.noise.uniform(f"{self.symbol}/low", self.n)))
        return (move + up) / 2.0, (move - down) / 2.0

    def _frame(
        self, prices: tuple[Floats, Floats, Floats, Floats], volume: Floats, taker_share: Floats
    ) -> pl.DataFrame:
        open_, high, low, close = prices
        volume = volume.round(self.quantity_decimals)
        bought = (volume * taker_share).round(self.quantity_decimals)
        typical = (open_ + close) / 2.0
        jitter = np.exp(0.1 * self.noise.normal(f"{self.symbol}/trade size", self.n))
        trades = np.maximum(1, volume * typical / 2_500.0 * jitter).astype(np.int64)
        columns = (open_, high, low, close, volume, (volume * typical).round(4), trades, bought)
        values = (self.times, *columns, (bought * typical).round(4))
        return pl.DataFrame(dict(zip(BAR_SCHEMA, values, strict=True)), schema=BAR_SCHEMA)

    def _priced_only(self, prices: tuple[Floats, Floats, Floats, Floats]) -> pl.DataFrame:
        nothing = np.zeros(self.n)
        values = (self.times, *prices, nothing, nothing, nothing.astype(np.int64), nothing, nothing)
        return pl.DataFrame(dict(zip(BAR_SCHEMA, values, strict=True)), schema=BAR_SCHEMA)

    def _hung_on_perpetual(self, distance: Floats, *, decimals: int) -> tuple[Floats, Floats, Floats, Floats]:
        """Bars of a price that is the perpetual's times (1 - `distance`) at the end of each step."""
        before = np.concatenate((distance[:1], distance))[: self.n]
        middle = (before + distance) / 2.0
        open_, close = self.open * (1.0 - before), self.close * (1.0 - distance)
        high = np.maximum(self.high * (1.0 - middle), np.maximum(open_, close))
        low = np.minimum(self.low * (1.0 - middle), np.minimum(open_, close))
        return open_.round(decimals), high.round(decimals), low.round(decimals), close.round(decimals)

    def perpetual(self) -> pl.DataFrame:
        """The perpetual itself."""
        prices = (self.open, self.high, self.low, self.close)
        return self._frame(prices, self.paths.activity, self.paths.taker_share)

    def spot(self) -> pl.DataFrame:
        """The spot pair: the perpetual less its premium, with a third of its volume."""
        prices = self._hung_on_perpetual(self.paths.premium, decimals=self.price_decimals)
        volume = 0.3 * self.paths.activity * np.exp(0.2 * self.noise.normal(f"{self.symbol}/spot volume", self.n))
        share = self.paths.taker_share + 0.02 * self.noise.normal(f"{self.symbol}/spot taker", self.n)
        return self._frame(prices, volume, np.clip(share, 0.1, 0.9))

    def mark(self) -> pl.DataFrame:
        """The mark price: the spot index plus the smoothed premium, so it follows the perpetual without its spikes."""
        smoothed = moving_average(self.paths.premium, half_life_steps=2.0 * STEPS_PER_HOUR)
        return self._priced_only(self._hung_on_perpetual(self.paths.premium - smoothed, decimals=8))

    def premium(self) -> pl.DataFrame:
        """The premium index: perpetual over index as a share."""
        close = self.paths.premium
        open_ = np.concatenate((close[:1], close))[: self.n]
        reach = 2e-5 * np.abs(self.noise.normal(f"{self.symbol}/premium reach", self.n))
        high, low = np.maximum(open_, close) + reach, np.minimum(open_, close) - reach
        return self._priced_only((open_.round(8), high.round(8), low.round(8), close.round(8)))

    def funding(self) -> pl.DataFrame:
        """Settlements at 00:00, 08:00 and 16:00 from the mean premium of the 8 hours before, by Binance's formula.

        rate = premium + clamp(0.01 % - premium, -0.05 %, +0.05 %): exactly 0.01 % while the premium is small.
        """
        settled = np.flatnonzero((self.times + STEP_MS) % (FUNDING_STEPS * STEP_MS) == 0)
        total = np.concatenate(([0.0], np.cumsum(self.paths.premium)))
        begin = np.maximum(settled + 1 - FUNDING_STEPS, 0)
        mean = (total[settled + 1] - total[begin]) / (settled + 1 - begin)
        rate = mean + np.clip(INTEREST_RATE - mean, -0.0005, 0.0005)
        late = self.noise.generator(f"{self.symbol}/settlement").integers(0, 10, self.n)[: len(settled)]
        values = (self.times[settled] + STEP_MS + late, rate.round(8), self.close[settled], np.full(len(settled), 8))
        return pl.DataFrame(dict(zip(FUNDING_SCHEMA, values, strict=True)), schema=FUNDING_SCHEMA)

    def open_interest(self) -> pl.DataFrame:
        """Snapshots at the end of every 5 minutes, from finished steps only: none looks into the step it is in."""
        n = self.n * SNAPSHOTS_PER_STEP
        period_end = self.times[:1].sum() + (np.arange(n, dtype=np.int64) + 1) * 5 * MINUTE_MS
        finished = np.arange(1, n + 1) // SNAPSHOTS_PER_STEP - 1
        known = np.maximum(finished, 0)
        level = 0.15 * self.noise.smooth(f"{self.symbol}/open interest", n, half_life_steps=288 * 5)
        level = level + 0.01 * self.noise.smooth(f"{self.symbol}/fast open interest", n, half_life_steps=24)
        contracts = (self.character.open_interest * np.exp(level)).round(3)
        taker = self.paths.taker_share[known]
        slow = self.noise.smooth(f"{self.symbol}/account ratio", n, half_life_steps=288)
        values = (
            period_end,
            contracts,
            (contracts * self.close[known]).round(4),
            np.exp(0.3 + 0.2 * slow).round(8),
            np.exp(0.2 + 0.1 * slow).round(8),
            np.exp(0.4 + 0.25 * slow).round(8),
            (taker / (1.0 - taker)).round(8),
        )
        return pl.DataFrame(dict(zip(OPEN_INTEREST_SCHEMA, values, strict=True)), schema=OPEN_INTEREST_SCHEMA)
