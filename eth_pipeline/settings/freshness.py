"""Settings of freshness: how old a stream may be, and what happens beyond that.

Belongs here: limits and policies per stream. Does not belong: measuring (`signals.gating.freshness`), fetching
(`exchange`).
"""

from typing import Literal

from pydantic import Field

from eth_pipeline.settings.section import Section

StalePolicy = Literal["record", "degrade", "block", "halt"]


class StreamLimits(Section):
    """Freshness limit of one stream and what happens beyond it."""

    max_lag_hours: float = Field(gt=0, description="Newest row older than this is stale; measured on data time.")
    stale_policy: StalePolicy = Field(
        description="record: nothing; degrade: a source is lost; block: no signal; halt: none until released."
    )


class FreshnessSettings(Section):
    """Lag limits per stream; the `cross_` ones are for the cross assets' symbols.

    A full hour needs the bar that just closed, so the main limits are one hour: between two full hours the
    lag stays below it, and reaches it exactly when a bar is missing.
    """

    klines: StreamLimits = StreamLimits(max_lag_hours=1.0, stale_policy="block")
    mark_klines: StreamLimits = StreamLimits(max_lag_hours=1.0, stale_policy="block")
    spot_klines: StreamLimits = StreamLimits(max_lag_hours=2.0, stale_policy="degrade")
    funding_rates: StreamLimits = StreamLimits(max_lag_hours=9.0, stale_policy="block")
    open_interest: StreamLimits = StreamLimits(max_lag_hours=3.0, stale_policy="degrade")
    premium_klines: StreamLimits = StreamLimits(max_lag_hours=2.0, stale_policy="record")
    positioning: StreamLimits = StreamLimits(max_lag_hours=3.0, stale_policy="record")
    cross_klines: StreamLimits = StreamLimits(max_lag_hours=1.0, stale_policy="degrade")
    cross_mark_klines: StreamLimits = StreamLimits(max_lag_hours=2.0, stale_policy="degrade")
    cross_spot_klines: StreamLimits = StreamLimits(max_lag_hours=2.0, stale_policy="degrade")
    cross_funding_rates: StreamLimits = StreamLimits(max_lag_hours=9.0, stale_policy="degrade")
    cross_premium_klines: StreamLimits = StreamLimits(max_lag_hours=2.0, stale_policy="record")
    gap_window_hours: int = Field(
        24, ge=1, description="A row of the main klines or mark klines absent or doubted in this window is a reason."
    )

    def limits(self, stream: str, *, is_main_symbol: bool) -> StreamLimits:
        """Limits of `stream` (a table name) for the main or a cross symbol."""
        found: StreamLimits = getattr(self, stream if is_main_symbol else f"cross_{stream}")
        return found
