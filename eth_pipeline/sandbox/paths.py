"""The price process behind the synthetic market, in steps of 15 minutes.

Belongs here: shocks, volatility, the planted driver, the perpetual's log price, premium, taker share, open
interest. Does not belong: bars and rounding (`synthetic_rows`), visibility, HTTP.

The model, for step t of one symbol (all draws independent of each other and of the future):

    return[t]  = sigma[t] * (rho * market[t] + sqrt(1 - rho^2) * own[t] + jump[t])
                 + strength * REACH * weight * sigma[t] * driver[t-1]
    driver[t]  = sqrt(1 - LEAD) * hidden[t] + sqrt(LEAD) * lead[t]
    hidden     = AR(1), half-life 12 h, never published
    lead       = smoothed past shocks of BTCUSDT, half-life 12 h: visible through past BTC returns
    premium[t] = slow AR(1) + fast AR(1) + a disguised driver[t] + reaction to the shock of t
    taker[t]   = 1/2 + a disguised driver[t] + reaction to the shock of t + white noise

"Disguised" means mixed with a private AR(1) of the same half-life, so that no amount of smoothing recovers it.
With strength 0 the shocks of t+1 are independent of everything at t and symmetric around zero, so neither the
size nor the sign of any future return of the perpetual can be predicted: the AUC of every honest model is 1/2.
Spot and mark prices hang on the perpetual by the premium; their own returns are therefore a little predictable,
as real ones are.
"""

import math
from dataclasses import dataclass

import numpy as np

from eth_pipeline.sandbox.processes import Floats, Noise, autoregress, moving_average, regimes

STEPS_PER_HOUR = 4
STEPS_PER_DAY = 96
DRIVER_HALF_LIFE = 12 * STEPS_PER_HOUR
# Calibrated on 2 and 6 years so that the driver itself scores 0.58-0.60 AUC on the sign of ETH's next 5 hours.
REACH = 0.054
LEAD = 0.25
DISGUISE = 0.60

# Relative volatility by hour, UTC: quiet before the European morning, widest at the US open.
HOUR_PROFILE = np.repeat(
    np.array([0.94, 0.85, 0.78, 0.85, 1.00, 0.97, 1.15, 1.43, 1.24, 1.05, 0.97, 0.93]),
    2,
)
WEEKEND_SHARE = 0.72


@dataclass(frozen=True)
class Character:
    """What distinguishes one symbol: scale, how it moves with the market, how strongly the driver moves it."""

    first_price_usdt: float
    daily_volatility: float
    market_share: float
    volume_per_step: float
    open_interest: float
    driver_weight: float


CHARACTERS = {
    "BTCUSDT": Character(42_000.0, 0.024, 0.85, 2_600.0, 82_000.0, 0.40),
    "ETHUSDT": Character(2_300.0, 0.032, 0.85, 38_000.0, 1_700_000.0, 1.00),
    "SOLUSDT": Character(98.0, 0.042, 0.72, 290_000.0, 9_500_000.0, 0.50),
    "BNBUSDT": Character(310.0, 0.026, 0.70, 8_500.0, 560_000.0, 0.45),
}
ORDINARY = Character(10.0, 0.040, 0.70, 400_000.0, 12_000_000.0, 0.40)


@dataclass(frozen=True)
class Paths:
    """Arrays of shape (n,), one value per step; `log_price` is at the END of the step, as premium and driver are."""

    log_price: Floats
    sigma: Floats
    shock: Floats
    activity: Floats
    premium: Floats
    taker_share: Floats
    driver: Floats


def simulate(noise: Noise, symbol: str, *, first_step: int, n: int, strength: float) -> Paths:
    """Simulate `n` steps of `symbol`, starting at step number `first_step` since the epoch.

    Args:
        noise: Source of all randomness.
        symbol: Decides the character and the random streams.
        first_step: Calendar position of the first step, for the daily and weekly profile.
        n: Number of steps; a larger `n` never changes earlier values.
        strength: Size of the planted signal; 0 plants none.
    """
    character = CHARACTERS.get(symbol, ORDINARY)
    season = _season(first_step, n)
    sigma = _volatility(noise, symbol, n) * season * character.daily_volatility / math.sqrt(STEPS_PER_DAY)
    shock = _shocks(noise, symbol, n, market_share=character.market_share)
    driver = _driver(noise, symbol, n)
    known_driver = np.concatenate(([0.0], driver[:-1]))
    returns = sigma * (shock + strength * REACH * character.driver_weight * known_driver)
    return Paths(
        log_price=np.log(character.first_price_usdt) + np.cumsum(returns),
        sigma=sigma,
        shock=shock,
        activity=_activity(noise, symbol, n, season=season, sigma=sigma, shock=shock, character=character),
        premium=_premium(noise, symbol, n, driver=driver, shock=shock),
        taker_share=_taker_share(noise, symbol, n, driver=driver, shock=shock),
        driver=driver,
    )


def _season(first_step: int, n: int) -> Floats:
    """Volatility profile of the hour and the weekday, around 1."""
    step = first_step + np.arange(n)
    hour = step // STEPS_PER_HOUR % 24
    weekday = (step // STEPS_PER_DAY + 3) % 7  # 1970-01-01 was a Thursday
    return np.asarray(HOUR_PROFILE[hour] * np.where(weekday >= 5, WEEKEND_SHARE, 1.0), dtype=np.float64)


def _volatility(noise: Noise, symbol: str, n: int) -> Floats:
    """Volatility relative to its long-run level: market regimes, slow and fast clustering, a share of its own."""
    log_level = regimes(noise, "market/regime", n, levels=(-0.45, 0.0, 0.55), mean_steps=(6 * 96.0, 9 * 96.0, 3 * 96.0))
    log_level = log_level + 0.28 * noise.smooth("market/slow volatility", n, half_life_steps=2 * STEPS_PER_DAY)
    log_level += 0.22 * noise.smooth("market/fast volatility", n, half_life_steps=2 * STEPS_PER_HOUR)
    log_level += 0.15 * noise.smooth(f"{symbol}/own volatility", n, half_life_steps=STEPS_PER_DAY)
    return np.asarray(np.exp(log_level - 0.15), dtype=np.float64)


def _shocks(noise: Noise, symbol: str, n: int, *, market_share: float) -> Floats:
    """Unit shocks, correlated across symbols, with a symmetric market-wide jump about every eight days."""
    market = noise.normal("market/shock", n)
    own = noise.normal(f"{symbol}/shock", n)
    jumping = noise.uniform("market/jump time", n) < 1.0 / (8 * STEPS_PER_DAY)
    jump = np.where(jumping, 5.0 * noise.normal("market/jump size", n), 0.0)
    return market_share * (market + jump) + math.sqrt(1.0 - market_share**2) * own


def _driver(noise: Noise, symbol: str, n: int) -> Floats:
    """The planted driver, unit variance: a hidden state and what BTC has just done."""
    hidden = noise.smooth("driver/hidden", n, half_life_steps=DRIVER_HALF_LIFE)
    market, own = noise.normal("market/shock", n), noise.normal("BTCUSDT/shock", n)
    share = CHARACTERS["BTCUSDT"].market_share
    lead = autoregress(share * market + math.sqrt(1.0 - share**2) * own, half_life_steps=DRIVER_HALF_LIFE)
    private = noise.smooth(f"{symbol}/driver", n, half_life_steps=DRIVER_HALF_LIFE)
    hidden = math.sqrt(0.7) * hidden + math.sqrt(0.3) * private
    return math.sqrt(1.0 - LEAD) * hidden + math.sqrt(LEAD) * lead


def _disguised(noise: Noise, name: str, driver: Floats) -> Floats:
    """`driver` mixed with a private process of the same half-life, unit variance."""
    private = noise.smooth(name, len(driver), half_life_steps=DRIVER_HALF_LIFE)
    return math.sqrt(DISGUISE) * driver + math.sqrt(1.0 - DISGUISE) * private


def _premium(noise: Noise, symbol: str, n: int, *, driver: Floats, shock: Floats) -> Floats:
    """Perpetual over spot as a share: about 0.5 bps on average, a few bps wide, negative at times."""
    slow = 3.0 * noise.smooth(f"{symbol}/slow premium", n, half_life_steps=6 * STEPS_PER_DAY)
    fast = 0.8 * noise.smooth(f"{symbol}/fast premium", n, half_life_steps=STEPS_PER_HOUR)
    seen = 2.2 * _disguised(noise, f"{symbol}/premium disguise", driver)
    reaction = 0.5 * moving_average(shock, half_life_steps=2.0)
    return np.asarray((0.5 + slow + fast + seen + reaction) * 1e-4, dtype=np.float64)


def _taker_share(noise: Noise, symbol: str, n: int, *, driver: Floats, shock: Floats) -> Floats:
    """Share of volume bought by takers, in 0.2..0.8: moves with the step's own shock and shows a little driver."""
    seen = 0.009 * _disguised(noise, f"{symbol}/taker disguise", driver)
    white = 0.025 * noise.normal(f"{symbol}/taker", n)
    return np.asarray(np.clip(0.5 + seen + white + 0.03 * np.clip(shock, -4, 4), 0.2, 0.8), dtype=np.float64)


def _activity(
    noise: Noise, symbol: str, n: int, *, season: Floats, sigma: Floats, shock: Floats, character: Character
) -> Floats:
    """Base-coin volume of each step: season, volatility level, size of the step's own move, noise."""
    relative_sigma = sigma * math.sqrt(STEPS_PER_DAY) / character.daily_volatility
    log_volume = 0.6 * np.log(relative_sigma) + 0.4 * np.log(season) + 0.25 * np.clip(np.abs(shock), 0, 5)
    log_volume += 0.25 * noise.smooth(f"{symbol}/volume level", n, half_life_steps=6 * STEPS_PER_HOUR)
    log_volume += 0.20 * noise.normal(f"{symbol}/volume", n) - 0.25
    return np.asarray(character.volume_per_step * np.exp(log_volume), dtype=np.float64)
