"""Reading and writing the tables of a lake.

Belongs here: rows of a version, the newest version, which rows of a write are new or changed. Does not belong: the
commits (`commits`), open tables (`handles`), maintenance (`maintenance`).
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
from deltalake.exceptions import DeltaError

from eth_pipeline.contracts.table import TableContract
from eth_pipeline.errors import ProvenanceMismatch, SettingsInvalid
from eth_pipeline.lake import commits
from eth_pipeline.lake.commits import Choice, LostRace, Upsert
from eth_pipeline.lake.handles import Handles, Opened
from eth_pipeline.lake.layout import keep_properties
from eth_pipeline.lake.maintenance import Maintenance, maintain
from eth_pipeline.lake.reading import around, rows_of, scan
from eth_pipeline.lake.remembered import Question, Remembered, as_bytes
from eth_pipeline.settings import Settings, known_lake

_UNKNOWN = "unknown"
"""Origin of a record that was written before any row had come: a first hour whose run died, or saw no exchange."""


class Lake:
    """Delta tables below `location`: a folder, or `s3://bucket/prefix`.

    One that is kept, as a run keeps it, reads each table's log once and the same rows of a version once.

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
        self._is_folder = "://" not in self.location
        # A commit is a PUT that the store refuses where the version exists. Said here so that no AWS_* variable of the
        # host can switch it off: without it the later of two writers wins and the rows of the other are gone.
        conditional = {} if self._is_folder else {"aws_conditional_put": "etag"}
        self._options = {**(storage_options or {}), **conditional}
        self._handles = Handles(self._options, is_folder=self._is_folder)
        self._remembered = Remembered()

    @classmethod
    def of(cls, settings: Settings) -> "Lake":
        """The lake that the settings name, with the key to its store."""
        return cls(settings.lake_location, storage_options=settings.lake_store.options())

    def uri(self, table: TableContract) -> str:
        """Where `table` lives."""
        return f"{self.location}/{table.name}"

    def _borrowed(self, table: TableContract, version: int | None = None) -> AbstractContextManager[Opened | None]:
        return self._handles.borrowed(self.uri(table), version=version)

    def version(self, table: TableContract) -> int | None:
        """Newest version of `table`; None where it was never written."""
        with self._borrowed(table) as opened:
            return None if opened is None else opened.delta.version()

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
        schema = table.schema
        wanted = list(schema) if columns is None else columns
        with self._borrowed(table, version) as opened:
            if opened is None:
                return table.empty().select(wanted)

            def rows() -> pl.DataFrame:
                found = rows_of(opened, where, {name: schema[name] for name in wanted})
                if not ordered or found.height < 2:
                    return found
                return found.sort([name for name in table.key if name in wanted])

            return self._remembered.answer(self._question(table, opened, where, wanted, is_ordered=ordered), rows)

    def newest(self, table: TableContract, *, where: pl.Expr | None = None) -> datetime | None:
        """Newest `table.newest_by` among the rows that match; None without rows.

        Looked for in the newest files first, which hold it unless the predicate leaves out all of their rows.
        """
        by = pl.col(table.newest_by)
        with self._borrowed(table) as opened:
            recent = None if opened is None or opened.files is None else opened.files.newest_at_least(table.newest_by)
        if recent is not None:
            found = self._newest(table, by >= recent if where is None else where & (by >= recent))
            if found is not None:
                return found
        return self._newest(table, where)

    def _newest(self, table: TableContract, where: pl.Expr | None) -> datetime | None:
        newest: Any = self.read(table, where=where, columns=[table.newest_by])[table.newest_by].max()
        return newest if isinstance(newest, datetime) else None

    def provenance(self, table: TableContract) -> str:
        """Origin of the rows of `table`; `unknown` where there are none."""
        with self._borrowed(table) as opened:
            first = None if opened is None else self._first_origin(table, opened)
        return str(first[0]) if first is not None and len(first) else _UNKNOWN

    def is_current(self, table: TableContract) -> bool:
        """True when the stored table has the contract's columns and definition."""
        with self._borrowed(table) as opened:
            if opened is None:
                return False
            stored = [field.name for field in opened.delta.schema().fields]
            return sorted(stored) == sorted(table.schema) and opened.delta.metadata().description == table.description

    def replace(self, table: TableContract, rows: pl.DataFrame) -> int:
        """Overwrite a derived table, schema included, in one commit; older versions stay readable.

        Raises:
            ContractViolation: `rows` break the contract; nothing was written.
        """
        rows = table.conform(rows)
        for attempt in commits.attempts(races_only=True):
            with attempt:
                if self.version(table) is None:
                    self._create(table, rows)
                else:
                    commits.write_whole(table, rows, uri=self.uri(table), options=self._options, mode="overwrite")
        with self._borrowed(table) as opened:
            assert opened is not None
            if opened.delta.metadata().description != table.description:
                opened.delta.alter.set_table_description(table.description)
            keep_properties(table, opened.delta)
            return opened.delta.version()

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
        for attempt in commits.attempts():
            with attempt, self._alone(table), self._borrowed(table) as opened:
                return self._upsert_once(table, opened, rows, choose)
        raise AssertionError("unreachable: stamina raises after its last attempt")

    def _alone(self, table: TableContract) -> AbstractContextManager[None]:
        return commits.alone(Path(self.location), table) if self._is_folder else nullcontext()

    def _upsert_once(
        self, table: TableContract, opened: Opened | None, rows: pl.DataFrame, choose: Choice | None
    ) -> Upsert:
        if opened is not None:
            self._refuse_other_provenance(table, opened, rows)
        known = table.empty() if opened is None else rows_of(opened, around(table, rows), dict(table.schema))
        if choose is not None:
            rows = table.conform(choose(known))
            if not rows.height:
                return Upsert(0, 0, 0, None if opened is None else opened.delta.version())
        if opened is None:
            return self._create(table, rows)
        delta = opened.delta
        if not known.height:
            commits.append(table, delta, rows)
            return Upsert(rows.height, 0, 0, delta.version())
        fresh = rows.join(known, on=list(table.key), how="anti")
        same = rows.join(known, on=list(table.schema), how="semi", nulls_equal=True)
        changed = rows.height - fresh.height - same.height
        if not fresh.height and not changed:
            return Upsert(0, 0, rows.height, delta.version())
        if not changed:
            commits.append(table, delta, fresh)
            return Upsert(fresh.height, 0, same.height, delta.version())
        wanted = rows.join(same, on=list(table.key), how="anti") if same.height else rows
        commits.merge(table, delta, wanted)
        return Upsert(fresh.height, changed, same.height, delta.version())

    def _create(self, table: TableContract, rows: pl.DataFrame) -> Upsert:
        if self._is_folder:
            Path(self.location).mkdir(parents=True, exist_ok=True)
        try:
            commits.write_whole(table, rows, uri=self.uri(table), options=self._options, mode="error")
        except (DeltaError, OSError) as error:
            # Two processes that create a table at once: the loser meets one of several errors, and a table.
            if self.version(table) is None:
                raise
            raise LostRace(f"another process created {table.name} first") from error
        return Upsert(rows.height, 0, 0, self.version(table))

    def maintain(self, table: TableContract, *, retention_hours: int) -> Maintenance | None:
        """Merge small files, remove files no version younger than `retention_hours` needs; None without a table.

        Safe among writers: a compaction that loses its race changes nothing and is done the next time.
        """
        with self._borrowed(table) as opened:
            if opened is None:
                return None
            return maintain(table, opened.delta, retention_hours=retention_hours)

    def _question(
        self, table: TableContract, opened: Opened, where: pl.Expr | None, columns: list[str], *, is_ordered: bool
    ) -> Question | None:
        rows = as_bytes(where)
        if opened.identity is None or rows is None:
            return None
        return Question(self.uri(table), opened.identity, rows, tuple(columns), is_ordered)

    def _first_origin(self, table: TableContract, opened: Opened) -> pl.Series:
        """Provenance of one row that has one, of which all others are; empty where the table has no such row."""
        if opened.files is not None and opened.files.origins:
            return pl.Series("provenance", sorted(opened.files.origins - {_UNKNOWN})[:1], pl.String)

        def first() -> pl.DataFrame:
            return scan(opened, pl.col("provenance") != _UNKNOWN).select("provenance").head(1).collect()

        asked = self._question(table, opened, None, ["first", "provenance"], is_ordered=False)
        return self._remembered.answer(asked, first)["provenance"]

    def _refuse_other_provenance(self, table: TableContract, opened: Opened, rows: pl.DataFrame) -> None:
        if "provenance" not in table.schema:
            return
        ours = set(rows["provenance"].unique()) - {_UNKNOWN}
        theirs = set(self._first_origin(table, opened))
        if theirs and ours and ours != theirs:
            raise ProvenanceMismatch(
                f"{table.name} at {self.uri(table)} holds {sorted(theirs)} rows and must not receive {sorted(ours)} "
                "ones. Use another home (ETH_PIPELINE_HOME) for another exchange."
            )
