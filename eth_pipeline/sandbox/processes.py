"""Seeded random building blocks whose past never changes when the horizon is extended.

Belongs here: named noise, stationary AR(1) smoothing, volatility regimes. Does not belong: what they mean for a
market (`paths`). Every function is causal: value i depends on draws 0..i only, and nothing is normalised with
sample statistics, so the first n values are the same whatever total length is asked for.
"""

import math
import zlib

import numpy as np
import polars as pl
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Noise:
    """Independent random streams by name, all from one seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def generator(self, name: str) -> np.random.Generator:
        """The random stream of `name`; asked twice, it starts again from its beginning."""
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence([self.seed, zlib.crc32(name.encode())])))

    def normal(self, name: str, n: int) -> Floats:
        """Standard normal draws, shape (n,)."""
        return self.generator(name).standard_normal(n)

    def uniform(self, name: str, n: int) -> Floats:
        """Uniform draws in (0, 1], shape (n,); never 0, so that a logarithm is finite."""
        return 1.0 - self.generator(name).random(n)

    def smooth(self, name: str, n: int, *, half_life_steps: float) -> Floats:
        """A stationary AR(1) of mean 0 and variance 1, shape (n,)."""
        return autoregress(self.normal(name, n), half_life_steps=half_life_steps)


def autoregress(shocks: Floats, *, half_life_steps: float) -> Floats:
    """AR(1) with unit-variance white `shocks` as input, stationary with variance 1 from the first value on."""
    alpha = 1.0 - 0.5 ** (1.0 / half_life_steps)
    gain = math.sqrt(alpha / (2.0 - alpha))
    fed = shocks.copy()
    fed[:1] *= gain
    return moving_average(fed, half_life_steps=half_life_steps) / gain


def moving_average(values: Floats, *, half_life_steps: float) -> Floats:
    """Exponentially weighted mean of `values` up to and including each step."""
    smoothed = pl.Series(values).ewm_mean(half_life=half_life_steps, adjust=False)
    return np.array(smoothed.to_numpy(), dtype=np.float64)


def regimes(noise: Noise, name: str, n: int, *, levels: tuple[float, ...], mean_steps: tuple[float, ...]) -> Floats:
    """A piecewise constant level, shape (n,): each visit lasts at least a day of 96 steps and draws its own length."""
    shortest_steps = 96
    visits = n // shortest_steps + 2
    states = noise.generator(f"{name}/states").integers(0, len(levels), visits)
    means = np.asarray(mean_steps)[states]
    lengths = shortest_steps + (noise.generator(f"{name}/lengths").standard_exponential(visits) * means).astype(
        np.int64
    )
    ends = np.cumsum(lengths)
    visit_of_step = np.searchsorted(ends, np.arange(n), side="right")
    return np.asarray(levels, dtype=np.float64)[states[visit_of_step]]
