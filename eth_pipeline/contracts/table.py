"""What a table is: columns with dtype, unit and null rule, row rules, a key; and the check of rows against them.

Belongs here: the types that every contract is made of. Does not belong: any table (`tables` for market data, `quality`,
`signal`, `model_tables`).

Times are `Datetime("us", "UTC")` (Delta's resolution).
"""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache

import polars as pl

from eth_pipeline.contracts.clock import require_utc
from eth_pipeline.errors import ContractViolation

INSTANT = pl.Datetime("us", "UTC")
PROVENANCES = ("binance", "replay", "simulated")


@lru_cache(maxsize=1024)
def at(instant: datetime) -> pl.Expr:
    """`instant` as a literal of a query, kept.

    polars runs a query of its own to make one, as long as many a question takes; an hour's steps name the same few.

    Raises:
        ValueError: `instant` carries no time zone.
    """
    return pl.lit(require_utc(instant), INSTANT)


@dataclass(frozen=True)
class Column:
    """One column: `unit` is a plain word such as `USDT`, `ETH`, `share`, `instant`, `text`."""

    name: str
    dtype: pl.DataType | type[pl.DataType]
    unit: str
    description: str
    nullable: bool = False


@dataclass(frozen=True)
class Rule:
    """A condition that every row must satisfy; `expr` is true (or null) for a good row."""

    name: str
    expr: pl.Expr
    why: str


@dataclass(frozen=True)
class TableContract:
    """A Delta table: what one row is, its key, its columns and its rules.

    `definition` is the digest of the code that computes a derived table; a table written under another
    definition is not current and is rebuilt.
    """

    name: str
    row_is: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    rules: tuple[Rule, ...] = ()
    partition_by: tuple[str, ...] = ("symbol",)
    newest_by: str = "available_at"
    definition: str = ""

    @property
    def description(self) -> str:
        """Stored with the table: what a row is and, for derived tables, the digest of their definition."""
        return f"{self.row_is} [{self.definition}]" if self.definition else self.row_is

    @property
    def schema(self) -> dict[str, pl.DataType | type[pl.DataType]]:
        """Column name to polars dtype, in order."""
        return {column.name: column.dtype for column in self.columns}

    def empty(self) -> pl.DataFrame:
        """A frame of no rows with exactly this schema."""
        return pl.DataFrame(schema=self.schema)

    def bad_rows(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Rows that break a rule, with a text column `broken_rule` naming the first one broken."""
        broken = pl.coalesce(
            *[pl.when(~rule.expr).then(pl.lit(rule.name)) for rule in self.rules], pl.lit(None, dtype=pl.String)
        )
        return frame.with_columns(broken.alias("broken_rule")).filter(pl.col("broken_rule").is_not_null())

    @cached_property
    def _faults(self) -> tuple[pl.Expr, pl.Expr]:
        """How many rows share a key, and how many break a rule."""
        broken = pl.any_horizontal([~rule.expr for rule in self.rules] or [pl.lit(value=False)])
        return pl.struct(self.key).is_duplicated().sum().alias("twice"), broken.sum().alias("broken")

    def conform(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Check `frame` against the contract and return it with columns in order.

        Raises:
            ContractViolation: missing or extra columns, wrong dtype, null where none may be, duplicate key,
                or a broken rule; the message counts the rows and shows the first.
        """
        schema, columns = self.schema, frame.columns
        missing = [name for name in schema if name not in columns]
        extra = [name for name in columns if name not in schema]
        if missing or extra:
            raise ContractViolation(
                f"{self.name}: columns missing {missing}, unexpected {extra}. The producer and "
                "`contracts.tables` disagree; change them together."
            )
        frame = frame if columns == list(schema) else frame.select(list(schema))
        found = dict(zip(frame.columns, frame.dtypes, strict=True))  # `frame.schema` is built anew at every access
        wrong = {name: str(found[name]) for name, dtype in schema.items() if found[name] != dtype}
        if wrong:
            expected = {name: str(schema[name]) for name in wrong}
            raise ContractViolation(f"{self.name}: dtypes {wrong}, expected {expected}. Cast in the producer.")
        for column in self.columns:
            if not column.nullable and (nulls := frame[column.name].null_count()):
                raise ContractViolation(
                    f"{self.name}.{column.name}: {nulls} null values in a column that allows none. "
                    "Quarantine these rows before writing."
                )
        twice, broken = frame.select(self._faults).row(0) if frame.height else (0, 0)
        if twice:
            raise ContractViolation(f"{self.name}: {twice} rows share a key {self.key}. Deduplicate before writing.")
        if broken:
            bad = self.bad_rows(frame)
            raise ContractViolation(
                f"{self.name}: {bad.height} rows break rule {bad['broken_rule'][0]!r}, the first with key "
                f"{bad.select(self.key).row(0)}. Quarantine them before writing."
            )
        return frame
