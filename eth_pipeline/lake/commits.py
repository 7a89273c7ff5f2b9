"""One commit into one table, and who may make it: new rows appended, changed ones merged, whole tables replaced.

Belongs here: the commits themselves, the lock among writers of one host, losing a race. Does not belong: which rows are
new or changed (`tables`), how they lie in files (`layout`).
"""

import fcntl
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl
import stamina
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError

from eth_pipeline.contracts.table import TableContract
from eth_pipeline.lake.layout import properties, writer

Choice = Callable[[pl.DataFrame], pl.DataFrame]
"""Given the stored rows around those to be written, the rows to write after all."""

_COMMIT_ATTEMPTS = 12
# No rebase inside delta-rs: whoever loses the race looks at the newer table again (`Lake.upsert`).
_FIRST_OR_FAIL = CommitProperties(max_commit_retries=0)


class LostRace(Exception):
    """Another writer committed first; what was read before is old."""


@dataclass(frozen=True)
class Upsert:
    """What one write did: rows inserted, rows replaced, rows already there unchanged, version after it."""

    inserted: int
    updated: int
    unchanged: int
    version: int | None


def attempts(*, races_only: bool = False) -> Iterable[stamina.Attempt]:
    """Tries of a commit, with pauses, for as long as others come first; `races_only`: to create the table."""
    losing = (LostRace,) if races_only else (CommitFailedError, LostRace)
    return stamina.retry_context(on=losing, attempts=_COMMIT_ATTEMPTS, timeout=None, wait_max=2.0)


@contextmanager
def alone(folder: Path, table: TableContract) -> Iterator[None]:
    """Let writers of this host wait for each other; a killed one leaves no lock behind.

    Delta's optimistic commits let two appends of the same new rows both succeed, and so do two creations. On an
    object store there is no such lock: whoever loses the conditional write of the commit looks again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f".{table.name}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def append(table: TableContract, delta: DeltaTable, fresh: pl.DataFrame) -> None:
    """Add rows whose keys are new; about ten times cheaper than a merge."""
    write_deltalake(
        delta, fresh.to_arrow(), mode="append", writer_properties=writer(table), commit_properties=_FIRST_OR_FAIL
    )


def merge(table: TableContract, delta: DeltaTable, wanted: pl.DataFrame) -> None:
    """Replace the rows whose keys are there, insert the others."""
    predicate = " AND ".join(f"t.{name} = s.{name}" for name in table.key)
    for name in table.partition_by:
        values = ", ".join(f"'{value}'" for value in wanted[name].unique().sort())
        predicate += f" AND t.{name} IN ({values})"
    (
        delta.merge(
            wanted.to_arrow(),
            predicate=predicate,
            source_alias="s",
            target_alias="t",
            commit_properties=_FIRST_OR_FAIL,
            writer_properties=writer(table),
        )
        .when_matched_update_all()
        .when_not_matched_insert_all()
        .execute()
    )


def write_whole(
    table: TableContract,
    rows: pl.DataFrame,
    *,
    uri: str,
    options: Mapping[str, str],
    mode: Literal["error", "overwrite"],
) -> None:
    """Write `rows` as all of the table: a new one (`error` where there is one), or its next version."""
    write_deltalake(
        uri,
        rows.to_arrow(),
        mode=mode,
        schema_mode="overwrite" if mode == "overwrite" else None,
        partition_by=list(table.partition_by) or None,
        name=table.name,
        description=table.description,
        configuration=properties(table) if mode == "error" else None,
        storage_options=dict(options) or None,
        writer_properties=writer(table),
        commit_properties=_FIRST_OR_FAIL if mode == "error" else None,
    )
