"""Partition definitions.

Belongs here: how time is cut. Daily for signals: the hour is the row's key, and one partition event costs about
30 ms whatever its size, so hourly partitions over years are not affordable (measured, docs/adr/0003).
"""

import dagster as dg

from eth_pipeline.models.algorithms import ALGORITHMS, LIGHTGBM

MONTHS = dg.MonthlyPartitionsDefinition(start_date="2020-01-01", timezone="UTC", end_offset=1)
"""Aligned with the archive's monthly files."""

DAYS = dg.DailyPartitionsDefinition(start_date="2020-01-01", timezone="UTC", end_offset=1)

ALGORITHM, MONTH = "algorithm", "month"
OTHERS_BY_MONTH = dg.MultiPartitionsDefinition(
    {ALGORITHM: dg.StaticPartitionsDefinition([name for name in ALGORITHMS if name != LIGHTGBM]), MONTH: MONTHS}
)
"""Vintages of the algorithms beside the primary, which has an asset of its own: signals are rebuilt from it."""
