"""Which position was held when; a change at an instant does not count for that instant yet."""

from datetime import UTC, datetime, timedelta

from eth_pipeline.trading.positions import Positions

NOON = datetime(2025, 3, 3, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def test_a_position_opened_at_an_instant_was_not_held_before_it() -> None:
    """Funding settles at the full hour in which orders fill: who opens then owes nothing, who closes then does."""
    positions = Positions([(NOON, 2.0)])
    positions.add(NOON + 60 * MINUTE, 0.0)
    assert positions.before(NOON - MINUTE) == 0.0
    assert positions.before(NOON) == 0.0
    assert positions.before(NOON + MINUTE) == 2.0
    assert positions.before(NOON + 60 * MINUTE) == 2.0
    assert positions.before(NOON + 61 * MINUTE) == 0.0


def test_a_history_goes_on_from_its_own_tuple() -> None:
    positions = Positions()
    positions.add(NOON, -1.5)
    assert Positions(positions.as_tuple()).as_tuple() == ((NOON, -1.5),)
