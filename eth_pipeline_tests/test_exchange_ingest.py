"""Ingestion over real HTTP from the embedded exchange into a real Delta lake, with the faults exchanges have."""

import dataclasses
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from eth_pipeline.contracts.clock import FixedClock, to_milliseconds
from eth_pipeline.contracts.tables import FUNDING_RATES, KLINES, OPEN_INTEREST, SPOT_KLINES, STREAMS
from eth_pipeline.errors import RequestRefused
from eth_pipeline.exchange.archive import Archive
from eth_pipeline.exchange.http.transport import Transport
from eth_pipeline.exchange.ingest import IngestResult, ingest_stream
from eth_pipeline.exchange.streams import stream_named
from eth_pipeline.lake import Lake
from eth_pipeline.sandbox.replay import ReplayMarket
from eth_pipeline.sandbox.server import Sandbox
from eth_pipeline.sandbox.synthetic import SyntheticMarket
from eth_pipeline.settings import ExchangeSettings, Settings

START = datetime(2025, 1, 20, tzinfo=UTC)  # a head of eleven days, one whole month, a tail of ten days
NOW = datetime(2025, 3, 10, 12, tzinfo=UTC)
HOUR, QUARTER = timedelta(hours=1), timedelta(minutes=15)
ALL_ROWS = (NOW - START) // QUARTER
MARKET = SyntheticMarket(seed=7, start=START, end=NOW + timedelta(days=2), symbols=("ETHUSDT", "BTCUSDT"))


@dataclasses.dataclass
class Pipeline:
    """A sandbox, a lake, and the settings between them."""

    sandbox: Sandbox
    home: Path
    settings: Settings

    @property
    def lake(self) -> Lake:
        return Lake(self.settings.lake_location)

    def ingest(
        self, stream: str = "klines", *, now: datetime | None = None, clock: FixedClock | None = None
    ) -> tuple[IngestResult, ...]:
        """One ingestion by a new process: new transport, same state file."""
        state = self.home / "exchange_state.sqlite"
        with Transport(self.settings.exchange, state_path=state, clock=clock) as transport:
            return ingest_stream(
                stream,
                transport=transport,
                lake=self.lake,
                settings=self.settings,
                now=now or self.sandbox.clock.now(),
            )

    def opens(self) -> list[datetime]:
        return self.lake.read(KLINES)["open_time"].to_list()


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Pipeline]]:
    running: list[Sandbox] = []

    def start(*, cross: tuple[str, ...] = (), clock_speed: float = 0.0, **exchange: float) -> Pipeline:
        sandbox = Sandbox(MARKET, now=NOW, clock_speed=clock_speed).start()
        running.append(sandbox)
        urls = {**sandbox.exchange_urls(), "attempts": 1, "bar_wait_seconds": 0.0}
        settings = Settings(
            home=tmp_path,
            cross_symbols=cross,
            history_start=START,
            exchange=ExchangeSettings.model_validate({**urls, **exchange}),
        )
        return Pipeline(sandbox, tmp_path, settings)

    yield start
    for sandbox in running:
        sandbox.stop()


@pytest.fixture
def pipeline(make: Callable[..., Pipeline]) -> Pipeline:
    return make()


def grid(first: datetime, last: datetime) -> list[datetime]:
    return [first + n * QUARTER for n in range((last - first) // QUARTER + 1)]


def test_history_comes_from_the_archive_and_the_tail_from_rest(pipeline: Pipeline) -> None:
    (result,) = pipeline.ingest()
    rows = pipeline.lake.read(KLINES)
    assert (result.outcome, result.inserted, result.missing_rows) == ("fetched", ALL_ROWS, 0)
    assert result.newest_available_at == NOW
    assert rows["open_time"].to_list() == grid(START, NOW - QUARTER)
    february = rows.filter(pl.col("open_time").dt.month() == 2)
    assert february["source"].unique().to_list() == ["archive"]
    assert rows["source"][-1] == "api"
    assert rows["provenance"].unique().to_list() == ["simulated"]


def test_a_rerun_asks_for_nothing(make: Callable[..., Pipeline]) -> None:
    pipeline = make(cross=("BTCUSDT",))
    first = [result for stream in STREAMS for result in pipeline.ingest(stream)]
    assert {result.outcome for result in first} == {"fetched"}
    assert [r.symbol for r in first if r.stream == "open_interest"] == ["ETHUSDT"]
    asked = pipeline.sandbox.requests.total
    again = [result for stream in STREAMS for result in pipeline.ingest(stream)]
    assert {(result.outcome, result.requests) for result in again} == {("local", 0)}
    assert pipeline.sandbox.requests.total == asked
    assert [r.newest_available_at for r in again] == [r.newest_available_at for r in first]


def test_an_hour_later_only_the_hour_is_fetched(pipeline: Pipeline) -> None:
    pipeline.ingest()
    pipeline.sandbox.clock.advance(HOUR)
    (result,) = pipeline.ingest()
    assert (result.inserted, result.updated, result.requests) == (4, 0, 1)
    assert pipeline.opens()[-1] == NOW + HOUR - QUARTER


def test_an_unfinished_bar_is_never_stored(pipeline: Pipeline) -> None:
    """The last kline of an answer is still open; stored, it was served as closed for hours."""
    pipeline.sandbox.faults.switch_on("unfinished")
    now = pipeline.sandbox.clock.advance(timedelta(minutes=7))
    (result,) = pipeline.ingest(now=now)
    assert pipeline.opens()[-1] == NOW - QUARTER
    assert result.newest_available_at == NOW


def test_a_moment_in_the_past_sees_only_what_was_known_then(pipeline: Pipeline) -> None:
    then = NOW - timedelta(days=3, minutes=4)
    for stream in STREAMS:
        pipeline.ingest(stream, now=then)
    for table in STREAMS.values():
        assert pipeline.lake.read(table)["available_at"].max() <= then


def test_the_time_before_a_listing_is_asked_for_once(pipeline: Pipeline) -> None:
    """SOLUSDT was listed months after the others; its empty months must not be asked for every hour."""
    earlier = START - timedelta(days=70)
    before = dataclasses.replace(pipeline, settings=pipeline.settings.model_copy(update={"history_start": earlier}))
    (result,) = before.ingest()
    assert (result.outcome, result.inserted, result.missing_rows) == ("fetched", ALL_ROWS, 0)
    (again,) = before.ingest()
    assert (again.outcome, again.requests) == ("local", 0)


def test_a_gap_in_both_doors_is_reported_on_every_run_and_asked_for_once(pipeline: Pipeline) -> None:
    hole = datetime(2025, 2, 11, 3, 45, tzinfo=UTC)
    pipeline.sandbox.faults.switch_on("gap", since=hole, until=hole + HOUR)
    (result,) = pipeline.ingest()
    assert (result.outcome, result.missing_rows) == ("fetched", 4)
    assert "4 rows are missing between the first and the newest, from 2025-02-11T03:45:00Z on" in result.detail
    (again,) = pipeline.ingest()
    assert (again.outcome, again.requests, again.missing_rows) == ("local", 0, 4)


def test_a_gap_that_the_exchange_fills_later_is_asked_for_again_although_every_hour_asks_for_its_own(
    pipeline: Pipeline,
) -> None:
    """A soak of 30 days ended with holes of its first day: each hour that fetched a newest bar put the question off."""
    hole = NOW - 48 * HOUR
    pipeline.sandbox.faults.switch_on("gap", since=hole, until=hole + 2 * QUARTER)
    (result,) = pipeline.ingest()
    assert result.missing_rows == 2
    pipeline.sandbox.faults.clear()
    missing = []
    for _ in range(5):
        pipeline.sandbox.clock.advance(5 * HOUR)
        (result,) = pipeline.ingest()
        missing.append(result.missing_rows)
    assert missing == [2, 2, 2, 2, 0]


def test_a_hole_of_the_last_hour_is_asked_for_again_by_the_next_hours_run(pipeline: Pipeline) -> None:
    """No signal is traded on a gap: what the exchange mends within an hour must not wait for a day."""
    hole = NOW - HOUR
    pipeline.sandbox.faults.switch_on("gap", since=hole, until=hole + 2 * QUARTER)
    pipeline.ingest()
    pipeline.sandbox.faults.clear()
    pipeline.sandbox.clock.advance(QUARTER)
    (same_hour,) = pipeline.ingest()
    pipeline.sandbox.clock.advance(HOUR - QUARTER)
    (next_hour,) = pipeline.ingest()
    assert (same_hour.missing_rows, next_hour.missing_rows) == (2, 0)


def test_a_gap_of_rest_is_repaired_from_daily_files(pipeline: Pipeline) -> None:
    hole = datetime(2025, 3, 5, 3, 45, tzinfo=UTC)
    pipeline.sandbox.faults.switch_on("gap", only="rest", since=hole, until=hole + HOUR)
    (result,) = pipeline.ingest()
    assert (result.outcome, result.inserted, result.missing_rows) == ("fetched", ALL_ROWS, 0)
    repaired = pipeline.lake.read(KLINES, where=pl.col("open_time") == hole)
    assert repaired["source"].to_list() == ["archive"]


def test_a_gap_of_the_archive_is_repaired_from_rest(pipeline: Pipeline) -> None:
    hole = datetime(2025, 2, 11, 3, 45, tzinfo=UTC)
    pipeline.sandbox.faults.switch_on("gap", only="archive", since=hole, until=hole + HOUR)
    (result,) = pipeline.ingest()
    assert (result.inserted, result.missing_rows) == (ALL_ROWS, 0)


@pytest.mark.parametrize("fault", ["wrong_checksum", "corrupt_zip"])
def test_a_broken_archive_file_is_refused_and_its_rows_come_through_rest(pipeline: Pipeline, fault: str) -> None:
    pipeline.sandbox.faults.switch_on(fault)
    (result,) = pipeline.ingest()
    assert (result.outcome, result.inserted, result.missing_rows) == ("fetched", ALL_ROWS, 0)
    assert "archive files were refused" in result.detail
    assert pipeline.lake.read(KLINES)["source"].unique().to_list() == ["api"]


def test_a_file_with_a_wrong_checksum_is_not_kept(pipeline: Pipeline) -> None:
    pipeline.sandbox.faults.switch_on("wrong_checksum")
    pipeline.ingest()
    assert list((pipeline.home / "archive").rglob("*.zip")) == []


def test_an_unchanged_archive_file_is_not_downloaded_again_and_a_replaced_one_is_kept_beside(
    pipeline: Pipeline,
) -> None:
    """The archive replaces files; what a model was trained on must stay provable."""
    month = stream_named("klines", pipeline.settings).archive.month("ETHUSDT", datetime(2025, 2, 1, tzinfo=UTC))
    state = pipeline.home / "exchange_state.sqlite"
    with Transport(pipeline.settings.exchange, state_path=state) as transport:
        archive = Archive(transport, pipeline.home / "archive", parallel_downloads=2)
        first = archive.fetch(month)
        assert archive.fetch(month) == first
        assert pipeline.sandbox.requests[f"/{month.key}"] == 1
        pipeline.sandbox.faults.switch_on("gap", since=month.start, until=month.start + HOUR)
        assert archive.fetch(month) != first
        assert pipeline.sandbox.requests[f"/{month.key}"] == 2
    kept = sorted((pipeline.home / "archive" / month.key).parent.glob("*.zip"))
    assert len(kept) == 2
    assert first in [path.read_bytes() for path in kept]


def test_a_failing_exchange_is_an_outcome_and_changes_nothing(pipeline: Pipeline) -> None:
    pipeline.ingest()
    version = pipeline.lake.version(KLINES)
    pipeline.sandbox.faults.switch_on("server_error")
    pipeline.sandbox.clock.advance(HOUR)
    (result,) = pipeline.ingest()
    assert (result.outcome, result.inserted, result.newest_available_at) == ("unavailable", 0, NOW)
    assert "503" in result.detail
    assert pipeline.lake.version(KLINES) == version


@pytest.mark.parametrize("fault", ["rate_limited", "banned"])
def test_a_pause_ordered_by_the_exchange_is_an_outcome(pipeline: Pipeline, fault: str) -> None:
    pipeline.sandbox.faults.switch_on(fault, retry_after_seconds=3600)
    results = [*pipeline.ingest(), *pipeline.ingest("funding_rates")]
    assert {result.outcome for result in results} == {"unavailable"}
    assert pipeline.sandbox.requests.total == 1


def test_a_backfill_beyond_the_budget_goes_on_where_it_stopped(make: Callable[..., Pipeline]) -> None:
    """Five pages of weight two fit; the sixth waits for the next minute, longer than a request may wait."""
    pipeline = make(weight_limit_per_minute=10, weight_reserve_share=0.0)
    pipeline.sandbox.faults.switch_on("server_error", only="archive")
    clock = FixedClock(datetime(2030, 1, 1, tzinfo=UTC))
    (first,) = pipeline.ingest(clock=clock)
    assert (first.outcome, first.inserted, first.missing_rows) == ("unavailable", 5 * 499, 0)
    for _ in range(6):  # the exchange's own count goes on in real time, so a later minute fits one page at least
        clock.instant += timedelta(minutes=1)
        (later,) = pipeline.ingest(clock=clock)
        assert pipeline.opens() == grid(START, pipeline.opens()[-1])
    assert later.outcome in ("fetched", "local")
    assert pipeline.opens()[-1] == NOW - QUARTER


def test_rows_after_a_hole_that_a_failing_door_left_are_not_written(pipeline: Pipeline) -> None:
    """What is stored has no hole that a later run would have to look for."""
    pipeline.sandbox.faults.switch_on("gap", only="archive", since=START, until=START + timedelta(days=30))
    pipeline.sandbox.faults.switch_on("server_error", only="rest")
    (result,) = pipeline.ingest()
    assert result.outcome == "unavailable"
    assert pipeline.opens() == []
    pipeline.sandbox.faults.clear()
    (healed,) = pipeline.ingest()
    assert (healed.outcome, healed.inserted) == ("fetched", ALL_ROWS)


def test_a_gap_that_rest_answered_costs_nothing_when_rest_fails_later(make: Callable[..., Pipeline]) -> None:
    """Answered: the old gap (weight 1) and a page of the tail (2). The next is over the budget; all that came stays."""
    pipeline = make(weight_limit_per_minute=4, weight_reserve_share=0.0)
    hole = datetime(2025, 2, 11, 3, 45, tzinfo=UTC)
    pipeline.sandbox.faults.switch_on("gap", since=hole, until=hole + HOUR)
    (result,) = pipeline.ingest(clock=FixedClock(datetime(2030, 1, 1, tzinfo=UTC)))
    assert result.outcome == "unavailable"
    assert pipeline.opens()[-1] >= datetime(2025, 2, 28, 23, 45, tzinfo=UTC)
    assert result.missing_rows == 4


def test_without_rest_the_archive_goes_as_far_as_it_can(pipeline: Pipeline) -> None:
    """A restricted location: the archive is open to everybody, daily files included."""
    pipeline.sandbox.faults.switch_on("region_restricted")
    (result,) = pipeline.ingest()
    assert result.outcome == "restricted"
    assert "451" in result.detail
    assert pipeline.opens()[-1] == datetime(2025, 3, 9, 23, 45, tzinfo=UTC)


def test_without_the_archive_rest_brings_everything(pipeline: Pipeline) -> None:
    pipeline.sandbox.faults.switch_on("server_error", only="archive")
    (result,) = pipeline.ingest()
    assert (result.outcome, result.inserted, result.missing_rows) == ("fetched", ALL_ROWS, 0)


def test_a_stale_feed_brings_nothing_and_says_so(pipeline: Pipeline) -> None:
    """Bars 77.8 hours old were served for days because an answer without news looked like success."""
    pipeline.ingest()
    pipeline.sandbox.faults.switch_on("stale", since=NOW)
    pipeline.sandbox.clock.advance(timedelta(hours=30))
    (result,) = pipeline.ingest()
    assert (result.outcome, result.inserted, result.newest_available_at) == ("fetched", 0, NOW)
    assert result.missing_rows == 0


def test_a_page_that_lacks_its_last_rows_is_continued(pipeline: Pipeline) -> None:
    """Partial pagination was once returned as complete."""
    pipeline.sandbox.faults.switch_on("partial_page", only="rest", rows=150, count=3)
    (result,) = pipeline.ingest()
    assert (result.inserted, result.missing_rows) == (ALL_ROWS, 0)


def test_rows_that_come_twice_are_stored_once(pipeline: Pipeline) -> None:
    pipeline.sandbox.faults.switch_on("duplicate", rows=3)
    (result,) = pipeline.ingest()
    assert (result.inserted, result.updated) == (ALL_ROWS, 0)


def test_a_stored_bar_that_the_exchange_revised_is_replaced_and_counted(pipeline: Pipeline) -> None:
    pipeline.ingest()
    newest = pipeline.lake.read(KLINES, where=pl.col("open_time") == NOW - QUARTER)
    pipeline.lake.upsert(KLINES, newest.with_columns(volume=pl.col("volume") / 2))
    pipeline.sandbox.clock.advance(HOUR)
    (result,) = pipeline.ingest()
    assert (result.inserted, result.updated) == (4, 1)
    assert pipeline.lake.read(KLINES, where=pl.col("open_time") == NOW - QUARTER).equals(newest)


def test_zero_open_interest_is_refused_row_by_row_and_named(pipeline: Pipeline) -> None:
    """Binance published zeros on 2022-03-07 and 08."""
    since = datetime(2025, 2, 3, 6, tzinfo=UTC)
    pipeline.sandbox.faults.switch_on("zero_open_interest", since=since, until=since + 2 * HOUR)
    (result,) = pipeline.ingest("open_interest")
    assert result.missing_rows == 2
    assert result.refused_rows["broken_rule"].unique().to_list() == ["open interest positive"]
    assert "2 rows were refused, the first at 2025-02-03T06:00:00Z: open interest positive" in result.detail
    assert pipeline.lake.read(OPEN_INTEREST)["open_interest"].min() > 0


def test_open_interest_is_the_same_under_both_label_conventions(pipeline: Pipeline) -> None:
    pipeline.sandbox.faults.switch_on("label_flip")
    (result,) = pipeline.ingest("open_interest")
    rows = pipeline.lake.read(OPEN_INTEREST)
    truth = MARKET.open_interest("ETHUSDT", until=NOW).select(
        pl.from_epoch("period_end", "ms").dt.cast_time_unit("us").dt.replace_time_zone("UTC").alias("period_end"),
        pl.col("open_interest").alias("true_open_interest"),
    )
    joined = rows.join(truth, on="period_end")
    assert joined.height == rows.height > 1000
    assert (joined["open_interest"] - joined["true_open_interest"]).abs().max() < 0.01
    assert result.missing_rows == 0


def test_funding_from_both_doors_is_one_series_on_full_seconds(pipeline: Pipeline) -> None:
    (result,) = pipeline.ingest("funding_rates")
    rows = pipeline.lake.read(FUNDING_RATES)
    published = MARKET.funding("ETHUSDT", until=NOW).filter(pl.col("funding_time") <= to_milliseconds(NOW))
    assert (result.missing_rows, rows.height) == (0, published.height)
    assert rows["funding_time"].dt.hour().unique().sort().to_list() == [0, 8, 16]
    assert rows["funding_time"].dt.second().max() == 0
    assert set(rows["source"]) == {"archive", "api"}


def test_a_bar_that_just_closed_is_waited_for_and_only_as_long_as_the_setting_says(
    make: Callable[..., Pipeline],
) -> None:
    """An hourly run starts in the second in which its bar closes."""
    asked = []
    for wait in (0.0, 30.0):
        pipeline = make(clock_speed=12.0, bar_wait_seconds=wait)
        pipeline.sandbox.faults.switch_on("stale", since=NOW - QUARTER)
        (result,) = pipeline.ingest(now=NOW)
        assert result.newest_available_at == NOW - QUARTER
        asked.append(pipeline.sandbox.requests["/fapi/v1/time"])
    assert asked[0] <= 1 < asked[1]


def test_a_clock_that_stands_still_is_not_waited_for(make: Callable[..., Pipeline]) -> None:
    pipeline = make(bar_wait_seconds=3600.0)
    pipeline.sandbox.faults.switch_on("stale", since=NOW - QUARTER)
    (result,) = pipeline.ingest()
    assert (result.outcome, result.newest_available_at) == ("fetched", NOW - QUARTER)


def test_long_work_reports_its_progress(pipeline: Pipeline) -> None:
    class Bar:
        def __init__(self) -> None:
            self.stretches: list[list[int]] = []

        def start(self, total: int, text: str) -> None:
            assert "klines/ETHUSDT/15m" in text
            self.stretches.append([total, 0])

        def advance(self, n: int) -> None:
            self.stretches[-1][1] += n

    bar = Bar()
    with Transport(pipeline.settings.exchange, state_path=pipeline.home / "state.sqlite") as transport:
        ingest_stream(
            "klines", transport=transport, lake=pipeline.lake, settings=pipeline.settings, now=NOW, progress=bar
        )
    assert len(bar.stretches) == 2  # archive, REST
    assert all(0 < done <= total for total, done in bar.stretches)


def test_sources_that_a_recording_lacks_are_null_and_never_zero(tmp_path: Path) -> None:
    """The real recordings have no taker volume for perpetuals; zeros would have been a strong, false feature."""
    hours = pl.datetime_range(START, NOW, "1h", time_zone="UTC", time_unit="ms", eager=True)
    bars = pl.DataFrame({"open_time": hours}).with_columns(
        *[pl.lit(value).alias(name) for name, value in {"open": 10.0, "high": 12.0, "low": 9.0, "close": 11.0}.items()],
        volume=pl.lit(5.0),
    )
    folder = tmp_path / "recordings"
    folder.mkdir()
    bars.write_parquet(folder / "klines_ETHUSDT_1h.parquet")
    bars.write_parquet(folder / "klines_spot_ETHUSDT_1h.parquet")
    with Sandbox(ReplayMarket(folder), now=NOW) as sandbox:
        exchange = ExchangeSettings.model_validate({**sandbox.exchange_urls(), "attempts": 1})
        settings = Settings(home=tmp_path, base_interval="1h", cross_symbols=(), history_start=START, exchange=exchange)
        pipeline = Pipeline(sandbox, tmp_path, settings)
        for stream, table in (("klines", KLINES), ("spot_klines", SPOT_KLINES)):
            (result,) = pipeline.ingest(stream)
            rows = pipeline.lake.read(table)
            assert (result.missing_rows, rows.height) == (0, (NOW - START) // HOUR)
            assert rows["taker_buy_volume"].null_count() == rows.height
            assert set(rows["source"]) == {"archive", "api"}
            assert rows["provenance"].unique().to_list() == ["replay"]
        (absent,) = pipeline.ingest("mark_klines")
        assert (absent.outcome, absent.inserted, absent.newest_available_at) == ("fetched", 0, None)
        quarter_hours = dataclasses.replace(pipeline, settings=settings.model_copy(update={"base_interval": "15m"}))
        with pytest.raises(RequestRefused):
            quarter_hours.ingest("klines")
