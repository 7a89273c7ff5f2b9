"""What the page draws of a record and of the account: rows and drawings with their titles.

Belongs here: choosing what is drawn and saying it in words. Does not belong: geometry (`charts`), layout (templates).
"""

from dataclasses import dataclass

from markupsafe import Markup

from eth_pipeline.board.reading.account import Account
from eth_pipeline.board.showing.charts import interval_bar, line_chart, signed_bar
from eth_pipeline.contracts.signal import ExpectedReturn, MlFields, SignalRecord, TimeframeScore

BPS = 1e4
_LEAST_REACH_BPS = 50.0


@dataclass(frozen=True)
class HorizonRow:
    """The forecast of one horizon; quantiles are log returns in bps, lowest level first."""

    hours: int
    probability_up: float | None
    quantiles_bps: tuple[tuple[float, float], ...]
    expected: ExpectedReturn | None
    drawing: Markup | None


@dataclass(frozen=True)
class TimeframeRow:
    """The base strategy of one timeframe; `net` is buy minus sell score, the share is of all weight."""

    score: TimeframeScore
    weight_share: float | None
    net: float
    drawing: Markup


@dataclass(frozen=True)
class AccountDrawing:
    """The two curves and the figures that stand beside them."""

    equity: Markup
    drawdown: Markup
    equity_low: float
    equity_high: float
    deepest: float
    now_below_peak: float


def horizon_rows(ml: MlFields) -> tuple[HorizonRow, ...]:
    """The forecast by horizon, all drawn on one scale."""
    acting = ml.ml_members.get(ml.ml_source or "", {})
    named = {5: ml.ml_prob_up_5h, 12: ml.ml_prob_up_12h, 24: ml.ml_prob_up_24h}
    probabilities = {hours: value for hours, value in (named | dict(acting)).items() if value is not None}
    in_bps = {
        hours: tuple((level, value * BPS) for level, value in sorted(levels.items()))
        for hours, levels in ml.ml_quantiles.items()
    }
    reach = max([_LEAST_REACH_BPS, *(abs(value) for levels in in_bps.values() for _, value in levels)])
    expected = {item.horizon_hours: item for item in ml.ml_expected}
    return tuple(
        HorizonRow(
            hours=hours,
            probability_up=probabilities.get(hours),
            quantiles_bps=in_bps.get(hours, ()),
            expected=expected.get(hours),
            drawing=_interval(in_bps[hours], reach=reach) if in_bps.get(hours) else None,
        )
        for hours in sorted(probabilities.keys() | in_bps.keys())
    )


def timeframe_rows(record: SignalRecord) -> tuple[TimeframeRow, ...]:
    """The consensus by timeframe, as it was scored."""
    snapshot = record.consensus_snapshot
    total = sum(snapshot.weights.values())
    rows = []
    for score in snapshot.scores:
        net = score.buy_score - score.sell_score
        title = f"{score.timeframe}: buy {score.buy_score:.0f}, sell {score.sell_score:.0f}"
        weight = snapshot.weights.get(score.timeframe)
        weight_share = weight / total if weight is not None and total else None
        rows.append(TimeframeRow(score, weight_share, net, signed_bar(net, reach=100.0, title=title)))
    return tuple(rows)


def draw_account(account: Account) -> AccountDrawing | None:
    """The two curves; None before the first processed hour."""
    equity = account.curve["equity_usdt"].to_list()
    depth = account.curve["drawdown_share"].to_list()
    if not equity:
        return None
    paid_in = account.figures["deposits_usdt"]
    level = float(paid_in) if isinstance(paid_in, float | int) else equity[0]
    low, high = min(*equity, level), max(*equity, level)
    deepest = min(depth)
    return AccountDrawing(
        equity=line_chart(
            equity,
            title=f"Equity from {equity[0]:,.0f} to {equity[-1]:,.0f} USDT, lowest {low:,.0f}, highest {high:,.0f}",
            low=low,
            high=high,
            level=level,
        ),
        drawdown=line_chart(
            depth,
            title=f"Below the peak: {-depth[-1]:.1%} now, {-deepest:.1%} at most",
            low=min(deepest, -1e-6),
            high=0.0,
        ),
        equity_low=low,
        equity_high=high,
        deepest=-deepest,
        now_below_peak=-depth[-1],
    )


def _interval(quantiles: tuple[tuple[float, float], ...], *, reach: float) -> Markup:
    said = ", ".join(f"{level:.0%} {value:+.0f} bps" for level, value in quantiles)
    return interval_bar(dict(quantiles), reach=reach, title=f"Quantiles of the return: {said}")
