"""Table contracts: what is no valid row is named before it is written."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from eth_pipeline.contracts.decision_tables import CONSENSUS, FORECASTS, SIGNALS, TRANSITIONS
from eth_pipeline.contracts.model_tables import HISTORICAL_FORECASTS, OOF_FORECASTS, TRIED_PNL
from eth_pipeline.contracts.table import INSTANT, TableContract, at
from eth_pipeline.contracts.tables import KLINES, STREAMS
from eth_pipeline.errors import ContractViolation
from eth_pipeline.trading.ledger import ACCOUNT_EVENTS
from eth_pipeline.trading.storage import ACCOUNT_SNAPSHOTS

NOON = datetime(2025, 3, 3, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
TABLES = [
    *STREAMS.values(),
    SIGNALS,
    TRANSITIONS,
    CONSENSUS,
    FORECASTS,
    OOF_FORECASTS,
    HISTORICAL_FORECASTS,
    TRIED_PNL,
    ACCOUNT_EVENTS,
    ACCOUNT_SNAPSHOTS,
]
ORIGIN: dict[str, Any] = {"symbol": "ETHUSDT", "available_at": NOON, "source": "api", "provenance": "simulated"}
BAR: dict[str, Any] = {
    **ORIGIN,
    "interval": "1h",
    "open_time": NOON - HOUR,
    "close_time": NOON,
    "open": 2000.0,
    "high": 2010.0,
    "low": 1990.0,
    "close": 2005.0,
    "volume": 12.0,
}
GOOD: dict[str, dict[str, Any]] = {
    "klines": BAR,
    "spot_klines": BAR,
    "mark_klines": BAR,
    "funding_rates": {**ORIGIN, "funding_time": NOON, "funding_rate": 0.0001},
    "open_interest": {**ORIGIN, "period_end": NOON, "open_interest": 1e6},
    "premium_klines": {**BAR, "open": -0.0001, "high": 0.0004, "low": -0.0003, "close": 0.0002},
    "positioning": {**ORIGIN, "period_end": NOON, "account_ratio": 1.4},
}
BROKEN = [
    ("klines", {"low": 0.0}, "positive prices"),
    ("klines", {"open": 2011.0}, "high and low enclose"),
    ("klines", {"low": 2001.0}, "high and low enclose"),
    ("klines", {"close_time": NOON - HOUR}, "time runs forward"),
    ("klines", {"available_at": NOON - timedelta(microseconds=1)}, "known after its close"),
    ("klines", {"volume": -1.0}, "volume not negative"),
    ("klines", {"provenance": "somewhere"}, "known provenance"),
    ("mark_klines", {"high": 2004.0}, "high and low enclose"),
    ("funding_rates", {"funding_rate": -0.11}, "rate within 10 %"),
    ("funding_rates", {"available_at": NOON - HOUR}, "known at settlement"),
    ("open_interest", {"open_interest": 0.0}, "open interest positive"),
    ("open_interest", {"available_at": NOON - HOUR}, "known after its period"),
    ("premium_klines", {"high": 0.5}, "premium within 50 %"),
    ("positioning", {"account_ratio": None, "taker_ratio": 1.0}, "a ratio is there"),
    ("positioning", {"taker_ratio": 0.0}, "ratios positive"),
]


def rows(table: TableContract, *values: dict[str, Any]) -> pl.DataFrame:
    """A frame of `values`, columns that they do not name are null."""
    return pl.DataFrame([{name: value.get(name) for name in table.schema} for value in values], schema=table.schema)


@pytest.mark.parametrize("stream", list(STREAMS))
def test_a_good_row_conforms_and_breaks_no_rule(stream: str) -> None:
    table = STREAMS[stream]
    good = rows(table, GOOD[stream])
    assert table.conform(good).equals(good)
    assert table.bad_rows(good).is_empty()


@pytest.mark.parametrize(("stream", "change", "rule"), BROKEN)
def test_a_broken_rule_is_named_with_the_row_that_breaks_it(stream: str, change: dict[str, Any], rule: str) -> None:
    table = STREAMS[stream]
    frame = rows(table, {**GOOD[stream], **change})
    assert table.bad_rows(frame)["broken_rule"].to_list() == [rule]
    with pytest.raises(ContractViolation, match=f"{stream}: 1 rows break rule '{rule}'.*ETHUSDT"):
        table.conform(frame)


def test_only_the_bad_rows_are_singled_out_for_quarantine() -> None:
    later = {**BAR, "open_time": NOON, "close_time": NOON + HOUR, "available_at": NOON + HOUR, "high": 1.0}
    bad = KLINES.bad_rows(rows(KLINES, BAR, later))
    assert bad["open_time"].to_list() == [NOON]


def test_columns_come_back_in_the_order_of_the_contract() -> None:
    shuffled = rows(KLINES, BAR).select(sorted(KLINES.schema))
    assert KLINES.conform(shuffled).columns == list(KLINES.schema)


def test_missing_and_unexpected_columns_are_named() -> None:
    frame = rows(KLINES, BAR).drop("volume").with_columns(colour=pl.lit("red"))
    with pytest.raises(ContractViolation, match=r"missing \['volume'\], unexpected \['colour'\]"):
        KLINES.conform(frame)


def test_a_wrong_dtype_is_refused_also_where_its_values_would_fit() -> None:
    frame = rows(KLINES, BAR).with_columns(pl.col("open_time").cast(pl.Datetime("ms", "UTC")))
    with pytest.raises(ContractViolation, match=r"open_time.*Cast in the producer"):
        KLINES.conform(frame)


def test_a_null_is_refused_where_none_may_be_and_accepted_where_it_may() -> None:
    assert KLINES.conform(rows(KLINES, BAR))["trades"].null_count() == 1
    with pytest.raises(ContractViolation, match=r"klines\.close: 1 null values"):
        KLINES.conform(rows(KLINES, {**BAR, "close": None}))


def test_two_rows_of_one_key_are_refused() -> None:
    with pytest.raises(ContractViolation, match="2 rows share a key"):
        KLINES.conform(rows(KLINES, BAR, {**BAR, "volume": 13.0}))


def test_no_rows_are_fine() -> None:
    for table in TABLES:
        assert table.conform(table.empty()).is_empty(), table.name


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_contract_explains_every_column_and_is_consistent(table: TableContract) -> None:
    assert table.row_is[0].islower(), "it completes the sentence: one row is ..."
    assert not table.row_is.endswith(".")
    names = [column.name for column in table.columns]
    assert len(set(names)) == len(names)
    assert all(column.unit and column.description.endswith(".") for column in table.columns)
    assert {*table.key, *table.partition_by, table.newest_by} <= set(names)
    nullable = {column.name for column in table.columns if column.nullable}
    assert not nullable & {*table.key, table.newest_by}
    assert table.schema[table.newest_by] == INSTANT


@pytest.mark.parametrize("stream", list(STREAMS))
def test_every_stream_says_when_a_row_was_known_and_where_it_comes_from(stream: str) -> None:
    assert {"available_at", "source", "provenance"} <= set(STREAMS[stream].schema)
    assert STREAMS[stream].name == stream


def test_an_instant_is_the_same_literal_from_whichever_clock_it_was_read() -> None:
    noon = datetime(2025, 3, 3, 12, tzinfo=UTC)
    assert at(noon).meta.eq(pl.lit(noon, INSTANT))
    assert at(noon.astimezone(ZoneInfo("Asia/Shanghai"))).meta.eq(at(noon)), "it is the instant that counts"
    with pytest.raises(ValueError, match="no time zone"):
        at(datetime(2025, 3, 3, 12))  # on purpose
