"""The lake: Delta tables under one URL, written only through their contracts.

Belongs here: read, atomic upsert by key, versions, maintenance. Does not belong: what a row means (`contracts.tables`),
fetching, computing. Delta gives atomic commits and versions; the version of a table is its data version.
"""

from eth_pipeline.lake.commits import Choice, Upsert
from eth_pipeline.lake.maintenance import Maintenance
from eth_pipeline.lake.tables import Lake

__all__ = ["Choice", "Lake", "Maintenance", "Upsert"]
