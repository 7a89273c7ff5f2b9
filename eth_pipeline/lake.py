"""The lake: Delta tables under one URL, written only through their contracts.

Belongs here: read, atomic upsert by key, versions. Does not belong: what a row means (`contracts.tables`),
fetching, computing. Delta gives atomic commits and versions; the version of a table is its data version.
"""

import fcntl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import polars as pl
import stamina
from deltalake import CommitProperties, DeltaTable, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from eth_pipeline.contracts.tables import TableContract
from eth_pipeline.errors import ProvenanceMismatch, SettingsInvalid
from eth_pipeline.settings import Settings, known_lake

Choice = Callable[[pl.DataFrame], pl.DataFrame]
"""Given the stored rows around those to be written, the rows to write after all."""

_COMMIT_ATTEMPTS = 12
# Rows lie in the order of their key, and a reader skips row groups by their smallest and largest value. With one group
# per file the newest bars cost what the whole history costs: 144 CPU ms for four symbols after six years, 89 after one.
_WRITER = WriterProperties(compression="ZSTD", max_row_group_size=16_384)
# No rebase inside delta-rs: whoever loses the race looks at the newer table again (`Lake.upsert`).
_FIRST_OR_FAIL = CommitProperties(max_commit_retries=0)


class _LostRace(Exception):
    """Another writer committed first; what was read before is old."""


@dataclass(frozen=True)
class Maintenance:
    """What maintaining one table did: its data files before and after, files removed from storage, bytes it has."""

    table: str
    files_before: int
    files_after: int
    files_removed: int
    bytes: int


@dataclass(frozen=True)
class Upsert:
    """What one write did: rows inserted, rows replaced, rows already there unchanged, version after it."""

    inserted: int
    updated: int
    unchanged: int
    version: int | None


class Lake:
    """Delta tables below `location`: a folder, or `s3://bucket/prefix`.

    Args:
        location: where the tables lie.
        storage_options: endpoint, region and key of the object store; see `LakeStoreSettings`.

    Raises:
        SettingsInvalid: the location's scheme is not known.
    """

    def __init__(self, location: str, *, storage_options: Mapping[str, str] | None = None) -> None:
        try:
            self.location = known_lake(location).rstrip("/")
        except ValueError as error:
            raise SettingsInvalid(f"There is no such lake: {error}. Correct `lake_url`.") from error
        # A commit is a PUT that the store refuses where the version exists. Said here so that no AWS_* variable of the
        # host can switch it off: without it the later of two writers wins and the rows of the other are gone.
        conditional = {} if self._is_folder else {"aws_conditional_put": "etag"}
        self._options = {**(storage_options or {}), **conditional}

    @classmethod
    def of(cls, settings: Settings) -> "Lake":
        """The lake that the settings name, with the key to its store."""
        return cls(settings.lake_location, storage_options=settings.lake_store.options())

    @cached_property
    def _is_folder(self) -> bool:
        return "://" not in self.location

    def uri(self, table: TableContract) -> str:
        """Where `table` lives."""
        return f"{self.location}/{table.name}"

    def _open(self, table: TableContract, version: int | None = None) -> DeltaTable | None:
        try:
            return DeltaTable(self.uri(table), version=version, storage_options=self._options or None)
        except TableNotFoundError:
            return None

    def version(self, table: TableContract) -> int | None:
        """Newest version of `table`; None where it was never written."""
        delta = self._open(table)
        return None if delta is None else delta.version()

    def read(
        self,
        table: TableContract,
        *,
        where: pl.Expr | None = None,
        columns: list[str] | None = None,
        version: int | None = None,
        ordered: bool = True,
    ) -> pl.DataFrame:
        """Rows of `table`, sorted by key; an empty frame of the right schema where there is no table.

        Args:
            where: a polars predicate, pushed down to the files.
            columns: a subset of columns; all by default.
            version: an exact older version, as recorded with a training set.
            ordered: False leaves the rows as they lie in the files; of 840,000 rows sorting takes four fifths of
                the time.
        """
        delta = self._open(table, version)
        if delta is None:
            return table.empty().select(columns or pl.all())
        frame = pl.scan_delta(delta)
        if where is not None:
            frame = frame.filter(where)
        wanted = list(table.schema) if columns is None else columns
        rows = frame.select(wanted).cast({n: table.schema[n] for n in wanted}).collect()
        return rows.sort([name for name in table.key if name in wanted]) if ordered else rows

    def newest(self, table: TableContract, *, where: pl.Expr | None = None) -> datetime | None:
        """Newest `table.newest_by` among the rows that match; None without rows."""
        frame = self.read(table, where=where, columns=[table.newest_by])
        newest: Any = frame[table.newest_by].max()
        return newest if isinstance(newest, datetime) else None

    def provenance(self, table: TableContract) -> str:
        """Origin of the rows of `table`; `unknown` where there are none."""
        delta = self._open(table)
        first = None if delta is None else pl.scan_delta(delta).select("provenance").head(1).collect()
        return str(first["provenance"][0]) if first is not None and first.height else "unknown"

    def is_current(self, table: TableContract) -> bool:
        """True when the stored table has the contract's columns and definition."""
        delta = self._open(table)
        if delta is None:
            return False
        stored = [field.name for field in delta.schema().fields]
        return sorted(stored) == sorted(table.schema) and delta.metadata().description == table.description

    def replace(self, table: TableContract, rows: pl.DataFrame) -> int:
        """Overwrite a derived table, schema included, in one commit; older versions stay readable.

        Raises:
            ContractViolation: `rows` break the contract; nothing was written.
        """
        rows = table.conform(rows)
        for attempt in stamina.retry_context(on=_LostRace, attempts=_COMMIT_ATTEMPTS, timeout=None, wait_max=2.0):
            with attempt:
                if self._open(table) is None:
                    self._create(table, rows)
                else:
                    self._write(table, rows, mode="overwrite", schema_mode="overwrite")
        delta = self._open(table)
        assert delta is not None
        if delta.metadata().description != table.description:
            delta.alter.set_table_description(table.description)
        return delta.version()

    def upsert(self, table: TableContract, rows: pl.DataFrame, *, choose: Choice | None = None) -> Upsert:
        """Insert new keys, replace changed rows, leave equal ones; one atomic commit, safe among writers.

        Args:
            rows: all that may be written.
            choose: a rule about what stands. It sees the stored rows between the smallest and the largest key of `rows`
                and is asked again whenever another writer came first, so that it holds among hosts too.

        Raises:
            ContractViolation: `rows` break the contract; nothing was written.
            ProvenanceMismatch: the table holds rows of another origin; nothing was written.
        """
        rows = table.conform(rows)
        if not rows.height:
            return Upsert(0, 0, 0, self.version(table))
        for attempt in stamina.retry_context(
            on=(CommitFailedError, _LostRace), attempts=_COMMIT_ATTEMPTS, timeout=None, wait_max=2.0
        ):
            with attempt, self._alone(table):
                return self._upsert_once(table, rows, choose)
        raise AssertionError("unreachable: stamina raises after its last attempt")

    @contextmanager
    def _alone(self, table: TableContract) -> Iterator[None]:
        """Let writers of this host wait for each other; a killed one leaves no lock behind.

        Delta's optimistic commits let two appends of the same new rows both succeed, and so do two creations. On an
        object store there is no such lock: whoever loses the conditional write of the commit looks again.
        """
        if not self._is_folder:
            yield
            return
        Path(self.location).mkdir(parents=True, exist_ok=True)
        with (Path(self.location) / f".{table.name}.lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def _upsert_once(self, table: TableContract, rows: pl.DataFrame, choose: Choice | None) -> Upsert:
        delta = self._open(table)
        if delta is not None:
            self._refuse_other_provenance(table, delta, rows)
        known = table.empty() if delta is None else self._rows_in_range(table, delta, rows)
        if choose is not None:
            rows = table.conform(choose(known))
            if not rows.height:
                return Upsert(0, 0, 0, None if delta is None else delta.version())
        if delta is None:
            return self._create(table, rows)
        fresh = rows.join(known, on=list(table.key), how="anti")
        same = rows.join(known, on=list(table.schema), how="semi", nulls_equal=True)
        changed = rows.height - fresh.height - same.height
        if not fresh.height and not changed:
            return Upsert(0, 0, rows.height, delta.version())
        if not changed:
            self._append(delta, fresh)
            return Upsert(fresh.height, 0, same.height, delta.version())
        wanted = rows.join(same, on=list(table.key), how="anti") if same.height else rows
        self._merge(table, delta, wanted)
        return Upsert(fresh.height, changed, same.height, delta.version())

    def _append(self, delta: DeltaTable, fresh: pl.DataFrame) -> None:
        """Add rows whose keys are new; about ten times cheaper than a merge."""
        write_deltalake(
            delta, fresh.to_arrow(), mode="append", writer_properties=_WRITER, commit_properties=_FIRST_OR_FAIL
        )

    def _merge(self, table: TableContract, delta: DeltaTable, wanted: pl.DataFrame) -> None:
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
                writer_properties=_WRITER,
            )
            .when_matched_update_all()
            .when_not_matched_insert_all()
            .execute()
        )

    def _create(self, table: TableContract, rows: pl.DataFrame) -> Upsert:
        if self._is_folder:
            Path(self.location).mkdir(parents=True, exist_ok=True)
        try:
            self._write(table, rows, mode="error", schema_mode=None)
        except (DeltaError, OSError) as error:
            # Two processes that create a table at once: the loser meets one of several errors, and a table.
            if self._open(table) is None:
                raise
            raise _LostRace(f"another process created {table.name} first") from error
        return Upsert(rows.height, 0, 0, self.version(table))

    def maintain(self, table: TableContract, *, retention_hours: int) -> Maintenance | None:
        """Merge small files, remove files no version younger than `retention_hours` needs; None without a table.

        A checkpoint sums up the commits so far: without it a reader goes through those since the last hundredth one.
        Safe among writers: a compaction that loses its race changes nothing and is done the next time.
        """
        delta = self._open(table)
        if delta is None:
            return None
        before = len(delta.file_uris())
        with suppress(CommitFailedError):
            delta.optimize.compact(writer_properties=_WRITER)
        delta = self._open(table)
        assert delta is not None
        removed = delta.vacuum(retention_hours=retention_hours, enforce_retention_duration=False, dry_run=False)
        delta = self._open(table)  # with the commits of the cleaning
        assert delta is not None
        delta.create_checkpoint()
        sizes = pl.DataFrame(delta.get_add_actions(flatten=True))["size_bytes"]
        return Maintenance(table.name, before, len(delta.file_uris()), len(removed), int(sizes.sum()))

    def _write(
        self,
        table: TableContract,
        rows: pl.DataFrame,
        *,
        mode: Literal["error", "overwrite"],
        schema_mode: Literal["overwrite"] | None,
    ) -> None:
        write_deltalake(
            self.uri(table),
            rows.to_arrow(),
            mode=mode,
            schema_mode=schema_mode,
            partition_by=list(table.partition_by) or None,
            name=table.name,
            description=table.description,
            storage_options=self._options or None,
            writer_properties=_WRITER,
            commit_properties=_FIRST_OR_FAIL if mode == "error" else None,
        )

    def _rows_in_range(self, table: TableContract, delta: DeltaTable, rows: pl.DataFrame) -> pl.DataFrame:
        where = pl.lit(True)
        for name in table.key:
            column = rows[name]
            low, high = column.min(), column.max()
            where = where & pl.col(name).is_between(pl.lit(low, column.dtype), pl.lit(high, column.dtype))
        return pl.scan_delta(delta).filter(where).select(list(table.schema)).cast(pl.Schema(table.schema)).collect()

    def _refuse_other_provenance(self, table: TableContract, delta: DeltaTable, rows: pl.DataFrame) -> None:
        if "provenance" not in table.schema:
            return
        present = pl.scan_delta(delta).select("provenance").head(1).collect()
        ours = set(rows["provenance"].unique())
        theirs = set(present["provenance"])
        if theirs and ours != theirs:
            raise ProvenanceMismatch(
                f"{table.name} at {self.uri(table)} holds {sorted(theirs)} rows and must not receive {sorted(ours)} "
                "ones. Use another home (ETH_PIPELINE_HOME) for another exchange."
            )
