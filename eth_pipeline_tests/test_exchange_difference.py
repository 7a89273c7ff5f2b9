"""What of new rows is worth writing: keys the lake lacks, and values it has otherwise."""

from datetime import UTC, datetime, timedelta

import polars as pl

from eth_pipeline.contracts.tables import POSITIONING
from eth_pipeline.exchange.difference import difference

NOON = datetime(2025, 3, 10, 12, tzinfo=UTC)
RATIOS = ("top_account_ratio", "top_position_ratio", "account_ratio", "taker_ratio")


def row(hour: int, *ratios: float | None, source: str = "archive") -> dict[str, object]:
    """A row of `positioning` with its four ratios."""
    end = NOON + timedelta(hours=hour)
    known_at = end + timedelta(minutes=5)
    origin = {"available_at": known_at, "source": source, "provenance": "simulated"}
    return {"symbol": "ETHUSDT", "period_end": end, **dict(zip(RATIOS, ratios, strict=True)), **origin}


def rows(*them: dict[str, object]) -> pl.DataFrame:
    return pl.DataFrame(list(them), schema=POSITIONING.schema)


STORED = rows(row(0, 1.0, 2.0, None, 4.0), row(1, 1.0, 2.0, 3.0, 4.0), row(2, 1.0, 2.0, 3.0, 4.0))


def test_a_row_whose_key_is_not_stored_is_fresh() -> None:
    new = rows(row(2, 1.0, 2.0, 3.0, 4.0), row(3, 1.0, 2.0, 3.0, 4.0))
    found = difference(POSITIONING, new, STORED)
    assert found.fresh["period_end"].to_list() == [NOON + timedelta(hours=3)]
    assert not found.revised.height


def test_the_same_values_through_the_other_door_change_nothing() -> None:
    assert not difference(POSITIONING, rows(row(1, 1.0, 2.0, 3.0, 4.0, source="api")), STORED).rows.height


def test_a_row_that_merely_knows_less_leaves_the_stored_one_as_it_is() -> None:
    """REST answers lack single ratios that the archive has."""
    assert not difference(POSITIONING, rows(row(1, 1.0, None, 3.0, 4.0)), STORED).rows.height


def test_a_row_that_knows_more_is_a_revision() -> None:
    found = difference(POSITIONING, rows(row(0, 1.0, 2.0, 3.0, 4.0)), STORED)
    assert found.revised["account_ratio"].to_list() == [3.0]


def test_a_revision_keeps_what_only_the_stored_row_knows() -> None:
    found = difference(POSITIONING, rows(row(1, 9.0, None, 3.0, 4.0)), STORED)
    assert found.rows.select(RATIOS).rows() == [(9.0, 2.0, 3.0, 4.0)]
    assert found.rows.schema == pl.Schema(POSITIONING.schema)
