"""The five source tables as features read them, and how they are cut by what was known when.

Belongs here: loading from the lake, truncation on `available_at`. Does not belong: computing anything.
"""

from dataclasses import dataclass, fields
from datetime import datetime

import polars as pl

from eth_pipeline.contracts.tables import (
    FUNDING_RATES,
    KLINES,
    MARK_KLINES,
    OPEN_INTEREST,
    SPOT_KLINES,
    TableContract,
)
from eth_pipeline.errors import ProvenanceMismatch
from eth_pipeline.lake import Lake


@dataclass(frozen=True)
class FeatureSources:
    """One frame per source table, all symbols together, in the schema of its contract.

    A source that does not exist is an empty frame; its features are null.
    """

    klines: pl.DataFrame
    mark_klines: pl.DataFrame
    spot_klines: pl.DataFrame
    funding_rates: pl.DataFrame
    open_interest: pl.DataFrame

    def since(self, instant: datetime) -> "FeatureSources":
        """Only rows known at `instant` or later."""
        return self._filtered(pl.col("available_at") >= instant)

    def until(self, instant: datetime) -> "FeatureSources":
        """Only rows known at or before `instant`: the world as it was then."""
        return self._filtered(pl.col("available_at") <= instant)

    def provenance(self) -> str:
        """The one origin of all rows; `binance` for no rows at all.

        Raises:
            ProvenanceMismatch: rows of several origins are mixed.
        """
        origins = sorted({origin for f in fields(self) for origin in getattr(self, f.name)["provenance"].unique()})
        if len(origins) > 1:
            raise ProvenanceMismatch(
                f"Feature sources mix rows of {', '.join(origins)}. Features of mixed origin belong to no market; "
                "use one home (ETH_PIPELINE_HOME) per exchange."
            )
        return origins[0] if origins else "binance"

    def _filtered(self, condition: pl.Expr) -> "FeatureSources":
        return FeatureSources(**{f.name: getattr(self, f.name).filter(condition) for f in fields(self)})


def load_sources(
    lake: Lake, *, symbols: tuple[str, ...], base_interval: str, since: datetime | None, until: datetime | None
) -> FeatureSources:
    """Read the source tables for `symbols`.

    Args:
        lake: where the tables are.
        symbols: the main and the cross symbols.
        base_interval: bar size to read, `15m` or `1h`.
        since: rows known earlier are left out; give `start - LOOKBACK` for features after `start`.
        until: rows known later are left out.
    """

    def read(table: TableContract) -> pl.DataFrame:
        where = pl.col("symbol").is_in(list(symbols))
        if "interval" in table.schema:
            where = where & (pl.col("interval") == base_interval)
        if since is not None:
            where = where & (pl.col("available_at") >= since)
        if until is not None:
            where = where & (pl.col("available_at") <= until)
        return lake.read(table, where=where)

    return FeatureSources(
        klines=read(KLINES),
        mark_klines=read(MARK_KLINES),
        spot_klines=read(SPOT_KLINES),
        funding_rates=read(FUNDING_RATES),
        open_interest=read(OPEN_INTEREST),
    )
