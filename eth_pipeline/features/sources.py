"""The source tables as features read them, and how they are cut by what was known when.

Belongs here: loading from the lake, truncation on `available_at`. Does not belong: computing anything.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

import polars as pl

from eth_pipeline.contracts.table import TableContract
from eth_pipeline.contracts.tables import (
    FUNDING_RATES,
    KLINES,
    MARK_KLINES,
    OPEN_INTEREST,
    POSITIONING,
    PREMIUM_KLINES,
    SPOT_KLINES,
)
from eth_pipeline.errors import ProvenanceMismatch
from eth_pipeline.lake import Lake


@dataclass(frozen=True)
class FeatureSources:
    """One frame per source table, all symbols together, in the schema of its contract.

    A source that does not exist is an empty frame; its features are null. The last two are absent from much of the
    recorded history, so they may be left out.
    """

    klines: pl.DataFrame
    mark_klines: pl.DataFrame
    spot_klines: pl.DataFrame
    funding_rates: pl.DataFrame
    open_interest: pl.DataFrame
    premium_klines: pl.DataFrame = field(default_factory=PREMIUM_KLINES.empty)
    positioning: pl.DataFrame = field(default_factory=POSITIONING.empty)

    def since(self, instant: datetime) -> "FeatureSources":
        """Only rows known at `instant` or later."""
        return self._where(lambda known: known >= instant)

    def until(self, instant: datetime) -> "FeatureSources":
        """Only rows known at or before `instant`: the world as it was then."""
        return self._where(lambda known: known <= instant)

    def provenance(self) -> str:
        """The one origin of all rows; `binance` for no rows at all.

        Raises:
            ProvenanceMismatch: rows of several origins are mixed.
        """
        origins = sorted({origin for f in fields(self) for origin in _origins(getattr(self, f.name)["provenance"])})
        if len(origins) > 1:
            raise ProvenanceMismatch(
                f"Feature sources mix rows of {', '.join(origins)}. Features of mixed origin belong to no market; "
                "use one home (ETH_PIPELINE_HOME) per exchange."
            )
        return origins[0] if origins else "binance"

    def _where(self, keeps: Callable[[Any], Any]) -> "FeatureSources":
        """Rows whose `available_at` the comparison keeps; a table it keeps whole is not copied."""

        def cut(frame: pl.DataFrame) -> pl.DataFrame:
            known = frame["available_at"]
            whole = not frame.height or (keeps(known.min()) and keeps(known.max()))
            return frame if whole else frame.filter(keeps(pl.col("available_at")))

        return FeatureSources(**{f.name: cut(getattr(self, f.name)) for f in fields(self)})


def _origins(provenance: pl.Series) -> list[str]:
    """The distinct values; comparing with the first is ten times faster than looking for distinct ones."""
    if provenance.len() and (provenance == provenance[0]).all(ignore_nulls=False):
        return [str(provenance[0])]
    return provenance.unique().to_list()


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
        premium_klines=read(PREMIUM_KLINES),
        positioning=read(POSITIONING),
    )
