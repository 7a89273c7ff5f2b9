"""The examiner sees an hour as it was, while the next one writes; and what goes wrong in its thread is not lost."""

from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from eth_pipeline.contracts.clock import HOUR
from eth_pipeline.contracts.decision_tables import SIGNALS
from eth_pipeline.contracts.tables import FUNDING_RATES
from eth_pipeline.lake import Lake
from eth_pipeline.operations.signal_log import SignalLog
from eth_pipeline.sandbox.synthetic import SyntheticMarket
from eth_pipeline.settings import Settings
from eth_pipeline.soak.as_it_was import LakeAsItWas
from eth_pipeline.soak.diary import Diary, Lived
from eth_pipeline.soak.examination import Examiner, Left
from eth_pipeline.soak.orders import Answer
from eth_pipeline_tests.decision_samples import NOON, sample_settings, signal
from eth_pipeline_tests.test_lake import settlements

MARKET = SyntheticMarket(seed=7, start=NOON - timedelta(days=2), end=NOON + timedelta(days=1), symbols=("ETHUSDT",))


def left(number: int, versions: dict[str, int | None]) -> Left:
    """What a healthy hour without requests leaves behind."""
    return Left(
        number=number,
        decided=NOON + number * HOUR,
        troubles=(),
        is_calm=True,
        kinds=frozenset(),
        requests=(),
        answers=(Answer(True),),
        versions=versions,
        sample=None,
        seconds=1.0,
        says=(),
    )


def record_hour(settings: Settings, number: int) -> None:
    """Store the record of an hour."""
    SignalLog(Lake.of(settings), folder=settings.home / "logs").write(signal(settings, NOON + number * HOUR))


def test_a_lake_as_it_was_has_the_rows_of_then_and_only_the_tables_that_were_remembered(tmp_path: Path) -> None:
    settings = sample_settings(tmp_path)
    now = Lake.of(settings)
    now.upsert(FUNDING_RATES, settlements(2))
    then = LakeAsItWas(settings)
    then.turn_to({FUNDING_RATES.name: now.version(FUNDING_RATES), "klines": None})
    assert then.read(FUNDING_RATES).height == 2
    now.upsert(FUNDING_RATES, settlements(5))
    assert then.read(FUNDING_RATES).height == 2
    assert then.read(FUNDING_RATES, where=pl.col("symbol") == "ETHUSDT", columns=["symbol"]).height == 2
    assert then.newest(FUNDING_RATES) < now.newest(FUNDING_RATES)  # type: ignore[operator]  # both have rows
    with pytest.raises(KeyError, match="signals"):
        then.read(SIGNALS)
    with pytest.raises(ValueError, match="use a `Lake`"):
        then.read(FUNDING_RATES, version=0)


def test_a_lake_as_it_was_goes_from_hour_to_hour_whether_or_not_somebody_has_written_on(tmp_path: Path) -> None:
    settings = sample_settings(tmp_path)
    now, then, versions = Lake.of(settings), LakeAsItWas(settings), []
    for rows in (2, 3, 4, 5):
        now.upsert(FUNDING_RATES, settlements(rows))
        versions.append({FUNDING_RATES.name: now.version(FUNDING_RATES)})
        if rows == 2:
            then.turn_to(versions[0], tables=(FUNDING_RATES,))
    read = [then.read(FUNDING_RATES).height]
    for at in (1, 3, 0):
        then.turn_to(versions[at], tables=(FUNDING_RATES,))
        read.append(then.read(FUNDING_RATES).height)
    assert read == [2, 3, 5, 2]


def test_the_record_of_an_hour_is_looked_for_among_those_of_then(tmp_path: Path) -> None:
    settings = sample_settings(tmp_path)
    diary = Diary(NOON)
    with Examiner(settings, MARKET, diary, each=lambda _: None) as examined:
        before = examined.versions()
        record_hour(settings, 0)
        recorded = examined.versions()
        record_hour(settings, 1)
        examined.examine(left(0, recorded))
        examined.examine(left(1, recorded))
        examined.examine(left(2, before))
        examined.catch_up()
    assert [hour.state for hour in diary.hours] == ["tradeable", "", ""]
    absent = [found.hour for found in diary.violations if found.detail.endswith("the hour has no record")]
    assert absent == ["2025-03-03T13:00:00Z", "2025-03-03T14:00:00Z"]


def test_what_goes_wrong_while_an_hour_is_examined_ends_the_soak(tmp_path: Path) -> None:
    """A check that dies in a thread nobody asks would be a check that always passes."""
    settings = sample_settings(tmp_path)

    def refuse(_: Lived) -> None:
        raise InterruptedError

    examined = Examiner(settings, MARKET, Diary(NOON), each=refuse)
    with examined:
        examined.examine(left(0, examined.versions()))
        with pytest.raises(InterruptedError):
            examined.examine(left(1, examined.versions()))
