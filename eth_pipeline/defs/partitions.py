"""Partition definitions.

Belongs here: how time is cut. Daily for signals: the hour is the row's key, and one partition event costs about
30 ms whatever its size, so hourly partitions over years are not affordable (measured, docs/adr/0003).
"""

import dagster as dg

MONTHS = dg.MonthlyPartitionsDefinition(start_date="2020-01-01", timezone="UTC", end_offset=1)
"""Aligned with the archive's monthly files."""

DAYS = dg.DailyPartitionsDefinition(start_date="2020-01-01", timezone="UTC", end_offset=1)
