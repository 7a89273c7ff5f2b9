"""What the gap ledger doubts about the hour behind a feature row.

Belongs here: carrying the ledger's verdict to the row. Does not belong: finding doubts (`exchange.doubts.suspects`),
what they do to a signal (`signals.gating.gate`).
"""

import polars as pl

from eth_pipeline.contracts.clock import HOUR
from eth_pipeline.contracts.quality import LedgerReader, quality_of


def with_quality(rows: pl.DataFrame, lake: LedgerReader, *, symbol: str) -> pl.DataFrame:
    """Fill the column `clean` of feature rows from the gap ledger.

    Args:
        rows: rows of `features_contract`, any number.
        lake: where the ledger is.
        symbol: the main symbol.

    Returns:
        The same rows in the same order; `clean` is false where the ledger doubts a decisive row of the hour that ended
        at `decision_time`. The features themselves are untouched: a suspect bar is what the exchange published.
    """
    if not rows.height:
        return rows
    quality = quality_of(lake, symbol=symbol, hours=rows["decision_time"] - HOUR)
    return rows.with_columns(quality["is_clean"].alias("clean"))
