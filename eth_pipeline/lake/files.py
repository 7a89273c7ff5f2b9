"""Data files of one version of a table, and which of them can hold the rows that are asked for.

Belongs here: the files that the log lists with the smallest and largest value of each, and the scan of those that a
predicate cannot rule out. Does not belong: what is done with the rows (`tables`), open tables (`handles`).

An hour asks some 60 times, mostly for its own newest rows, and every hour adds a file per table and symbol. polars'
`scan_delta` reads a footer for the schema and lists the statistics for each of these questions. Here both are taken
from the log once per version, and a file that cannot hold an answer is not opened. Not used where reading takes more
than the paths of files: on an object store, and for a table that asks more of its readers than the first version of
the protocol, such as deletion vectors.
"""

import json
from dataclasses import dataclass
from datetime import timedelta
from io import StringIO
from typing import Any

import polars as pl
from deltalake import DeltaTable

from eth_pipeline.lake.small_files import SMALL_FILE_BYTES, SmallFiles, scan_files

_CUT_FROM_A_MAXIMUM = timedelta(milliseconds=1)
"""Statistics of instants may be cut to milliseconds, which makes a maximum too small."""
_ORIGIN = "provenance"
_NEVER_CUT_LETTERS = 16
"""A logged text up to this long is whole; a longer one may be a prefix."""

Node = dict[str, Any]
"""A polars expression in JSON."""
_TRUE: Node = json.loads(pl.lit(value=True).meta.serialize(format="json"))


@dataclass(frozen=True)
class DataFiles:
    """The files of one version.

    Attributes:
        small: rows of small files that this process has read.
        stored: columns of the files.
        partitions: columns that lie in the paths and not in the files.
        listed: one row per file: `path`, `size_bytes`, the partition columns, `min.NAME` and `max.NAME` of instants and
            counts, null where the log does not say.
        origins: smallest and largest provenance of every file; empty where the log does not say it of every file.
    """

    small: SmallFiles
    stored: dict[str, pl.DataType]
    partitions: dict[str, pl.DataType]
    listed: pl.DataFrame
    origins: frozenset[str]

    @classmethod
    def of(cls, delta: DeltaTable, *, folder: str, small: SmallFiles) -> "DataFiles | None":
        """The files of an opened table in a folder of this host; None where they need another reader."""
        if delta.protocol().min_reader_version != 1:
            return None
        schema = pl.Schema(delta.schema())
        partitions = {name: schema.pop(name) for name in delta.metadata().partition_columns}
        ranged = [name for name, dtype in schema.items() if dtype == pl.Int64 or isinstance(dtype, pl.Datetime)]
        logged = delta.get_add_actions(flatten=True)
        bounds = [f"{bound}.{name}" for name in (*ranged, _ORIGIN) for bound in ("min", "max")]
        wanted = ("path", "size_bytes", *(f"partition.{name}" for name in partitions), *bounds)
        listed = pl.DataFrame(logged.select([name for name in wanted if name in logged.column_names]))
        if any("%" in path or path.startswith("/") or "://" in path for path in listed["path"]):
            return None
        origins = [listed[name] for name in (f"min.{_ORIGIN}", f"max.{_ORIGIN}") if name in listed.columns]
        listed = listed.with_columns(
            (f"{folder}/" + pl.col("path")).alias("path"),
            pl.col([name for name in listed.columns if name.startswith("max.") and listed[name].dtype.is_temporal()])
            + _CUT_FROM_A_MAXIMUM,
        )
        return cls(
            small=small,
            stored=dict(schema),
            partitions=partitions,
            listed=listed.rename({f"partition.{name}": name for name in partitions}),
            origins=_whole(origins),
        )

    def scan(self, where: pl.Expr | None) -> pl.LazyFrame:
        """The rows that match, from the files that may hold any."""
        small: list[str] = []
        large: list[str] = []
        for path, size_bytes in self._possible(where):
            (small if size_bytes <= SMALL_FILE_BYTES else large).append(path)
        parts = []
        if small:
            frames = self.small.rows(small, stored=self.stored, partitions=self.partitions)
            parts.append(pl.concat(frames, rechunk=False).lazy())
        if large:
            rows = scan_files(large, stored=self.stored, partitions=self.partitions)
            parts.append(rows.select(*self.partitions, *self.stored))
        if not parts:
            return pl.LazyFrame(schema=self.partitions | self.stored)
        rows = parts[0] if len(parts) == 1 else pl.concat(parts)
        return rows if where is None else rows.filter(where)

    def possible(self, where: pl.Expr | None) -> list[str]:
        """Paths of the files that may hold a row that matches; all where the predicate is not understood."""
        return [path for path, _ in self._possible(where)]

    def _possible(self, where: pl.Expr | None) -> list[tuple[str, int]]:
        """Path and bytes of those files."""
        listed = self.listed
        if where is not None:
            try:
                condition = self._of_file(json.loads(where.meta.serialize(format="json")))
                said = pl.Expr.deserialize(StringIO(json.dumps(condition)), format="json")
                listed = listed.filter(said.fill_null(value=True))  # of a file without statistics nothing is known
            except (pl.exceptions.PolarsError, ValueError, TypeError):
                pass  # the scan says what is wrong with it, if anything is
        return list(zip(listed["path"], listed["size_bytes"], strict=True))

    def newest_at_least(self, column: str) -> Any | None:
        """A value that the largest of `column` is not below; None where the log does not say."""
        name = f"min.{column}"
        return self.listed[name].max() if name in self.listed.columns else None

    def _of_file(self, node: Node) -> Node:
        """A predicate on rows as one on files; true for whatever is not plainly a column against values."""
        match node:
            case {"BinaryExpr": {"left": left, "op": "And" | "Or" as op, "right": right}}:
                return _binary(self._of_file(left), op, self._of_file(right))
            case {"BinaryExpr": {"left": {"Column": name}, "op": op, "right": {"Literal": _} as value}}:
                low = value if op in {"Eq", "Gt", "GtEq"} else None
                high = value if op in {"Eq", "Lt", "LtEq"} else None
                return node if name in self.partitions else self._between(name, low, high)
            case {"Function": {"input": [{"Column": name}, *values], "function": {"Boolean": function}}} if all(
                "Literal" in value for value in values
            ):
                if name in self.partitions:
                    return node
                if "IsBetween" in function:
                    return self._between(name, *values)
        return _TRUE

    def _between(self, name: str, low: Node | None, high: Node | None) -> Node:
        condition = _TRUE
        if low is not None and f"max.{name}" in self.listed.columns:
            condition = _binary({"Column": f"max.{name}"}, "GtEq", low)
        if high is not None and f"min.{name}" in self.listed.columns:
            condition = _binary(condition, "And", _binary({"Column": f"min.{name}"}, "LtEq", high))
        return condition


def _binary(left: Node, op: str, right: Node) -> Node:
    return {"BinaryExpr": {"left": left, "op": op, "right": right}}


def _whole(origins: list[pl.Series]) -> frozenset[str]:
    """Every logged origin; empty where one is missing or may have been cut."""
    values = {value for series in origins for value in series}
    known = {value for value in values if value is not None and len(value) <= _NEVER_CUT_LETTERS}
    return frozenset(known) if known == values else frozenset()
