"""Keeping one table small: small files merged into large ones, files that no wanted version needs removed.

Belongs here: compaction, vacuum, checkpoints. Does not belong: which tables, and when (`defs.assets.operations`).
"""

from contextlib import suppress
from dataclasses import dataclass

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

from eth_pipeline.contracts.table import TableContract
from eth_pipeline.lake.layout import keep_properties, writer

# A file of this size is left alone. Merging everything into one file writes the whole history again every night, and
# the old copies stay for as long as old versions must be readable: 60 nights, 60 histories.
FULL_FILE_BYTES = 2 * 2**20


@dataclass(frozen=True)
class Maintenance:
    """What maintaining one table did: its data files before and after, files removed from storage, bytes it has."""

    table: str
    files_before: int
    files_after: int
    files_removed: int
    bytes: int


def maintain(table: TableContract, delta: DeltaTable, *, retention_hours: int) -> Maintenance:
    """Compact and vacuum; a compaction that loses its race changes nothing and is done the next time.

    Only files below `FULL_FILE_BYTES` are merged, so a night writes about that much again, however long the history.

    A checkpoint sums up the commits so far: without it a reader goes through those since the last hundredth one.
    """
    keep_properties(table, delta)
    before = len(delta.file_uris())
    with suppress(CommitFailedError):
        delta.optimize.compact(target_size=FULL_FILE_BYTES, writer_properties=writer(table))
    delta.update_incremental()
    removed = delta.vacuum(retention_hours=retention_hours, enforce_retention_duration=False, dry_run=False)
    delta.update_incremental()  # with the commits of the cleaning
    delta.create_checkpoint()
    sizes = pl.DataFrame(delta.get_add_actions(flatten=True))["size_bytes"]
    return Maintenance(table.name, before, len(delta.file_uris()), len(removed), int(sizes.sum()))
