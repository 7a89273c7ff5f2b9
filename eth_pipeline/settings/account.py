"""Settings of the paper account.

Belongs here: cash, costs, sizing, limits of risk. Does not belong: when a signal acts (`signals`).
"""

from pydantic import AwareDatetime, Field

from eth_pipeline.settings.section import Section


class AccountSettings(Section):
    """Paper account."""

    initial_cash_usdt: float = Field(10_000.0, gt=0, description="Starting cash.")
    taker_fee_bps: float = Field(5.0, ge=0, description="Taker fee per fill.")
    slippage_bps: float = Field(2.0, ge=0, description="Slippage per fill, against us.")
    leverage: float = Field(2.0, gt=0, description="Leverage used for liquidation arithmetic.")
    max_single_share: float = Field(0.20, gt=0, le=1, description="Largest position as a share of equity.")
    stop_loss_share: float = Field(0.02, gt=0, lt=1, description="Stop distance from entry, on the mark price.")
    maintenance_margin_share: float = Field(0.005, gt=0, lt=1, description="Maintenance margin of the position.")
    take_profit_share: float | None = Field(
        None, gt=0, lt=1, description="Take-profit distance from entry, on the mark price; empty means none."
    )
    reduce_below_share: float = Field(
        0.5, ge=0, le=1, description="Reduce a position when the order wants less than this share of it; 0 never does."
    )
    max_total_share: float = Field(0.50, gt=0, le=1, description="Largest sum of positions as a share of equity.")
    reserve_share: float = Field(0.30, ge=0, lt=1, description="Share of equity that is never used as margin.")
    kelly_fraction: float = Field(0.25, gt=0, le=1, description="Share of the growth-optimal position that is taken.")
    kelly_interval_share: float = Field(
        0.0, ge=0, lt=1, description="Central interval of the forecast that must clear the costs; 0 asks the median."
    )
    volatility_target_share_per_year: float = Field(
        0.20, gt=0, description="Largest yearly volatility of equity that one position may cause."
    )
    max_daily_loss_share: float = Field(0.05, gt=0, le=1, description="Loss of 24 hours that forbids opening.")
    max_weekly_loss_share: float = Field(0.10, gt=0, le=1, description="Loss of 168 hours that forbids opening.")
    max_drawdown_share: float = Field(0.15, gt=0, le=1, description="Fall from the peak that forbids opening.")
    drawdown_since: AwareDatetime | None = Field(
        None, description="Only peaks from here on count; setting it releases the drawdown limit after a review."
    )
