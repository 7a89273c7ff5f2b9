"""Old runs removed from the Dagster instance, with their events and captured output.

Belongs here: which runs go, which stay for ever, and giving the space back. Does not belong: ticks (`retention` of
dagster.yaml), tables and logs of the lake (`lake_maintenance`).

Dagster deletes a run together with its events, the materializations among them. A run stays for ever while it

- made the newest materialization or observation of an asset, or of one of its partitions: freshness, staleness,
  sensors and the list of partitions that are there would forget it;
- is named by the promotion log: it is the evidence of a promotion.

A signal does not keep its run. Its record holds commit, configuration, table versions and fingerprint; the run's page
in the UI is gone once it is older than the retention. Materializations that were superseded go with their runs; old
events without a run (the `*_newest_bar` companions) stay, since Dagster offers no way to remove a part of them.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import dagster as dg
from dagster import DagsterEventType, DagsterInstance
from dagster._core.storage.dagster_run import FINISHED_STATUSES
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

MOST_RUNS = 2_000
"""Runs that one turn deletes at most; a backlog is worked off night by night."""

_SHARED_FILES = ("runs.db", "index.db", "schedules.db")  # a run's own file goes with the run
_IDS_PER_QUERY = 500  # SQLite takes a limited number of values in one statement
_FREE_SHARE = 0.25
_BUSY_SECONDS = 5.0


@dataclass(frozen=True)
class Pruned:
    """What one turn did: runs deleted, old runs kept as evidence of a promotion or as the newest of an asset."""

    deleted: int
    kept_for_promotions: int
    kept_for_assets: int


@dataclass(frozen=True)
class Compacted:
    """Files that were made smaller, what that freed, and those that were in use; all empty with PostgreSQL."""

    files: tuple[str, ...]
    freed_bytes: int
    busy: tuple[str, ...]


def prune_runs(
    instance: DagsterInstance, *, before: datetime, promoted: frozenset[str], most: int = MOST_RUNS
) -> Pruned:
    """Delete runs that ended before an instant, oldest first.

    Args:
        instance: where they are.
        before: runs that changed since then stay.
        promoted: ids of runs that the promotion log names.
        most: how many are deleted.
    """
    newest = runs_of_newest_events(instance)
    old = instance.get_run_records(
        dg.RunsFilter(statuses=FINISHED_STATUSES, updated_before=before), order_by="id", ascending=True
    )
    found = [record.dagster_run.run_id for record in old]
    condemned = [run_id for run_id in found if run_id not in promoted and run_id not in newest][:most]
    for run_id in condemned:
        _delete(instance, run_id)
    return Pruned(
        deleted=len(condemned),
        kept_for_promotions=sum(run_id in promoted for run_id in found),
        kept_for_assets=sum(run_id in newest and run_id not in promoted for run_id in found),
    )


def runs_of_newest_events(instance: DagsterInstance) -> frozenset[str]:
    """Runs that made the newest materialization or observation of an asset or of one of its partitions."""
    found = set()
    for key in instance.get_asset_keys():
        for fetch, kind in (
            (instance.fetch_materializations, DagsterEventType.ASSET_MATERIALIZATION),
            (instance.fetch_observations, DagsterEventType.ASSET_OBSERVATION),
        ):
            found |= {record.run_id for record in fetch(key, limit=1).records}
            by_partition = instance.get_latest_storage_id_by_partition(key, kind)
            for ids in _parts(sorted(by_partition.values())):
                wanted = dg.AssetRecordsFilter(asset_key=key, storage_ids=ids)
                found |= {record.run_id for record in fetch(wanted, limit=len(ids)).records}
    return frozenset(found)


def compact_storage(storage: Path, *, busy_seconds: float = _BUSY_SECONDS) -> Compacted:
    """Give back what deleted rows left empty in the SQLite files of an instance; one that is in use is left alone.

    Args:
        storage: folder of the instance's storage.
        busy_seconds: how long another process may hold a file.
    """
    done, busy, freed = [], [], 0
    for path in sorted(path for name in _SHARED_FILES for path in storage.rglob(name)):
        before = path.stat().st_size
        try:
            with closing(sqlite3.connect(path, timeout=busy_seconds)) as db:
                pages, empty = (db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count"))
                if empty <= _FREE_SHARE * pages:
                    continue
                db.execute("VACUUM")
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.OperationalError:
            busy.append(path.name)
            continue
        done.append(path.name)
        freed += before - path.stat().st_size
    return Compacted(tuple(done), freed, tuple(busy))


def _delete(instance: DagsterInstance, run_id: str) -> None:
    """Delete a run, what it printed, and the file that SQLite keeps for its events."""
    instance.delete_run(run_id)
    instance.compute_log_manager.delete_logs(prefix=[run_id])
    events = instance.event_log_storage
    if isinstance(events, SqliteEventLogStorage):
        shard = Path(events.path_for_shard(run_id))
        for path in (shard, *(shard.with_name(f"{shard.name}{side}") for side in ("-wal", "-shm"))):
            path.unlink(missing_ok=True)


def _parts(ids: list[int]) -> Iterator[list[int]]:
    for begin in range(0, len(ids), _IDS_PER_QUERY):
        yield ids[begin : begin + _IDS_PER_QUERY]
