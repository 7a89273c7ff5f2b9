"""Golden scores of the six indicator families, computed with TA-Lib, which the project does not depend on.

Belongs here: the families' published definitions written again, one bar at a time, on TA-Lib's indicators. Does not
belong: anything imported from `eth_pipeline.signals`: an oracle that shares code with what it judges sees nothing.

    pip install --no-deps --target DIRECTORY ta-lib
    PYTHONPATH=DIRECTORY python eth_pipeline_tests/oracles/indicator_families.py

writes indicator_families.json beside this file: the bars, and each family's score from the 80th bar on. TA-Lib's RSI
and ATR are Wilder's, with infinite memory; ours are the finite variants, so those are built from TA-Lib's SUM, SMA and
TRANGE. Bollinger, stochastic, MACD with simple averages, on-balance volume and the extremes are TA-Lib's own.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

GOLDEN = Path(__file__).with_suffix(".json")
FIRST_ROW = 79
BARS = 400


def make_bars() -> dict[str, list[float]]:
    """A seeded walk with calm and wild stretches, prices in cents."""
    random = np.random.default_rng(20251122)
    swing = np.where(np.arange(BARS) // 60 % 2, 0.012, 0.003)
    closes = np.round(2000 * np.exp(np.cumsum(random.normal(0, swing))), 2)
    opens = np.round(np.concatenate([[2000.0], closes[:-1]]) * (1 + random.normal(0, 0.0005, BARS)), 2)
    highs = np.round(np.maximum(opens, closes) * (1 + random.exponential(swing / 2)), 2)
    lows = np.round(np.minimum(opens, closes) * (1 - random.exponential(swing / 2)), 2)
    volumes = np.round(random.lognormal(5, 0.6, BARS), 3)
    arrays = {"open": opens, "high": highs, "low": lows, "close": closes, "volume": volumes}
    return {name: values.tolist() for name, values in arrays.items()}


def scores(bars: dict[str, list[float]]) -> dict[str, list[float]]:
    """Family to score of every bar from `FIRST_ROW` on."""
    import talib

    o, high, low, c, v = (np.array(bars[name]) for name in ("open", "high", "low", "close", "volume"))
    swing = talib.SMA(talib.TRANGE(high, low, c), 14)
    averages = {n: talib.SMA(c, n) for n in (5, 10, 20, 60)}
    upper, middle, _ = talib.BBANDS(c, 20, nbdevup=1, nbdevdn=1, matype=0)
    momentum = talib.MACDEXT(c, fastperiod=12, fastmatype=0, slowperiod=26, slowmatype=0, signalperiod=1)[0]
    k, d = talib.STOCH(high, low, c, fastk_period=9, slowk_period=3, slowk_matype=0, slowd_period=3, slowd_matype=0)
    move = np.diff(c, prepend=np.nan)
    gain, loss = (talib.SUM(np.nan_to_num(np.maximum(sign * move, 0)), 12) for sign in (1, -1))
    balance = talib.OBV(c, v)
    volume_sum, volume_mean = talib.SUM(v, 20), talib.SMA(v, 20)
    extremes = {
        "high": (talib.MAX(high, 10), talib.MAX(high, 20)),
        "low": (talib.MIN(low, 10), talib.MIN(low, 20)),
        "crest": (talib.MAX(momentum, 10), talib.MAX(momentum, 20)),
        "trough": (talib.MIN(momentum, 10), talib.MIN(momentum, 20)),
    }

    def moving_averages(t: int) -> float:
        pairs = ((5, 10), (10, 20), (20, 60))
        order = sum(float(np.sign(averages[a][t] - averages[b][t])) for a, b in pairs) / 3
        distance = limited((c[t] - averages[20][t]) / (2 * swing[t]))
        return 40 * order + 30 * distance + 30 * limited((averages[20][t] - averages[20][t - 5]) / swing[t])

    def bollinger(t: int) -> float:
        width, before = upper[t] - middle[t], upper[t - 5] - middle[t - 5]
        outlying = limited((c[t] - middle[t]) / (2.5 * width))
        widening = min(max((width - before) / (0.5 * before), 0), 1)
        return 100 * outlying * (2 * widening - 1)

    def divergence(t: int) -> float:
        score = 0.0
        recent, earlier = ({name: pair[i][t - 10 * i] for name, pair in extremes.items()} for i in (0, 1))
        if recent["low"] < earlier["low"]:
            score += min(max((recent["trough"] - earlier["trough"]) / swing[t], 0), 1)
        if recent["high"] > earlier["high"]:
            score -= min(max((earlier["crest"] - recent["crest"]) / swing[t], 0), 1)
        return 100 * score

    def kdj_rsi(t: int) -> float:
        strength = 100 * gain[t] / (gain[t] + loss[t])
        j = 3 * k[t] - 2 * d[t]
        return -50 * limited((strength - 50) / 30) - 30 * limited((j - 50) / 60) + 20 * limited((k[t] - d[t]) / 10)

    def volume_price(t: int) -> float:
        excess = min(max(v[t] / volume_mean[t] - 1, 0), 1)
        return 60 * (balance[t] - balance[t - 20]) / volume_sum[t] + 40 * limited(move[t] / swing[t]) * excess

    def candlesticks(t: int) -> float:
        body, before, first = c[t] - o[t], c[t - 1] - o[t - 1], c[t - 2] - o[t - 2]
        score = 0.30 * limited(body / swing[t])
        if body * before < 0 and abs(body) > abs(before) and abs(body) > 0.3 * swing[t]:
            score += 0.40 if body > 0 else -0.40
        if min(body, before, first) > 0 or max(body, before, first) < 0:
            score += 0.30 if body > 0 else -0.30
        below, above = min(o[t], c[t]) - low[t], high[t] - max(o[t], c[t])
        if below > 2 * abs(body) and below > 0.5 * swing[t] and above < below / 2 and c[t] < c[t - 5]:
            score += 0.40
        if above > 2 * abs(body) and above > 0.5 * swing[t] and below < above / 2 and c[t] > c[t - 5]:
            score -= 0.40
        return 100 * limited(score)

    families = (divergence, moving_averages, candlesticks, bollinger, volume_price, kdj_rsi)
    return {family.__name__: [float(family(t)) for t in range(FIRST_ROW, BARS)] for family in families}


def limited(value: float) -> float:
    """`value` within -1..1."""
    return min(max(float(value), -1.0), 1.0)


def main() -> None:
    """Write the golden file."""
    import talib

    bars = make_bars()
    golden: dict[str, Any] = {"made_with": f"TA-Lib {talib.__version__}", "bars": bars, "scores": scores(bars)}
    GOLDEN.write_text(json.dumps(golden) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
