"""The paper account as the board shows it: figures, the curve of equity, how deep it is below its peak.

Belongs here: reading the ledger without touching it, thinning the curve. Does not belong: what events mean
(`trading.ledger`), figures (`trading.performance`), drawing (`showing.charts`).
"""

from dataclasses import dataclass

import polars as pl

from eth_pipeline.lake import Lake
from eth_pipeline.settings import Settings
from eth_pipeline.trading.ledger import ACCOUNT_EVENTS, events_from_frame
from eth_pipeline.trading.performance import Figures, drawdown, report

MAX_POINTS = 480
_LATER_COLUMNS = ("reference_usdt",)  # a ledger of before 2026-11-22 lacks it; the account's writer upgrades the table


@dataclass(frozen=True)
class Account:
    """The account after its newest hour.

    Attributes:
        figures: see `trading.performance`.
        curve: time, equity_usdt, drawdown_share (at most 0); at most `MAX_POINTS` rows, oldest first.
    """

    figures: Figures
    curve: pl.DataFrame


class AccountReader:
    """Reads the account of the settings' symbol and phase; sums the ledger up again only when it has grown."""

    def __init__(self, lake: Lake, *, settings: Settings) -> None:
        self._lake = lake
        self._settings = settings
        self._known: tuple[int, Account] | None = None

    def read(self) -> Account | None:
        """The account; None before its first event."""
        version = self._lake.version(ACCOUNT_EVENTS)
        if version is None:
            return None
        if self._known is None or self._known[0] != version:
            self._known = (version, self._sum_up(version))
        account = self._known[1]
        return account if account.curve.height or account.figures["deposits_usdt"] else None

    def _sum_up(self, version: int) -> Account:
        ours = (pl.col("symbol") == self._settings.symbol) & (pl.col("phase") == self._settings.phase)
        columns = list(ACCOUNT_EVENTS.schema)
        if not self._lake.is_current(ACCOUNT_EVENTS):
            columns = [name for name in columns if name not in _LATER_COLUMNS]
        summed = report(
            events_from_frame(self._lake.read(ACCOUNT_EVENTS, where=ours, columns=columns, version=version))
        )
        curve = summed.curve.select("time", "equity_usdt", drawdown_share=drawdown(pl.col("equity_usdt")))
        return Account(summed.figures, thinned(curve, points=MAX_POINTS))


def thinned(curve: pl.DataFrame, *, points: int) -> pl.DataFrame:
    """The curve in at most `points` rows: of equal stretches the last hour, with the deepest drawdown of the stretch.

    The last row is always the newest hour, so what is written beside the curve and where it ends agree.
    """
    if curve.height <= points:
        return curve
    stretch = ((pl.int_range(pl.len()) + 1) * points - 1) // pl.len()
    return (
        curve.group_by(stretch.alias("stretch"), maintain_order=True)
        .agg(pl.col("time", "equity_usdt").last(), pl.col("drawdown_share").min())
        .drop("stretch")
    )
