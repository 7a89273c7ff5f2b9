"""The lake in an object store: the same promises as in a folder, kept by conditional writes instead of a lock.

The store is moto's S3 server; see `object_store` for what it is asked and how.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest

from eth_pipeline.contracts.decision_tables import SIGNALS
from eth_pipeline.contracts.tables import FUNDING_RATES
from eth_pipeline.errors import SettingsInvalid
from eth_pipeline.lake import Lake
from eth_pipeline.operations.signal_log import SignalLog
from eth_pipeline.settings import Settings, load_settings
from eth_pipeline_tests.decision_samples import HOUR, NOON, signal
from eth_pipeline_tests.object_store import KEY_ID, SECRET, ObjectStore, object_store
from eth_pipeline_tests.test_lake import settlements


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStore]:
    """A store; every test has its own prefix."""
    pytest.importorskip("moto", reason="moto[s3] is not installed; it is among the dev dependencies")
    with object_store() as running:
        yield running


@pytest.fixture
def settings(store: ObjectStore, request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings whose lake is below a prefix of this test's own."""
    return load_settings(home=tmp_path, lake_url=f"s3://lake/{request.node.name}", lake_store=store.options())


def test_a_lake_in_a_store_reads_writes_and_keeps_its_versions(store: ObjectStore, settings: Settings) -> None:
    lake = Lake.of(settings)
    assert lake.read(FUNDING_RATES).schema == pl.Schema(FUNDING_RATES.schema)
    assert lake.version(FUNDING_RATES) is None
    assert lake.upsert(FUNDING_RATES, settlements(10)).inserted == 10
    outcome = lake.upsert(FUNDING_RATES, pl.concat([settlements(1, first=9, rate=0.0002), settlements(3, first=10)]))
    assert (outcome.inserted, outcome.updated, outcome.version) == (3, 1, 1)
    assert lake.read(FUNDING_RATES)["funding_rate"][9] == 0.0002
    assert lake.read(FUNDING_RATES, version=0)["funding_rate"][9] == 0.0001
    assert lake.upsert(FUNDING_RATES, settlements(3, first=10)).unchanged == 3
    assert lake.replace(FUNDING_RATES, settlements(2)) == 2
    assert lake.provenance(FUNDING_RATES) == "replay"
    maintained = lake.maintain(FUNDING_RATES, retention_hours=0)
    assert maintained is not None
    assert (maintained.files_after, maintained.files_removed > 0) == (1, True)
    assert not list(settings.home.iterdir()), "nothing of it is on this disk"
    assert store.key_ids == {KEY_ID}


def overtaken(store: ObjectStore, settings: Settings) -> pl.DataFrame:
    """The table after a host was overtaken by another in the middle of its commit, once creating and once appending."""
    for step in (0, 10):
        store.overtake = lambda first=step: Lake.of(settings).upsert(FUNDING_RATES, settlements(20, first=first))
        Lake.of(settings).upsert(FUNDING_RATES, settlements(20, first=5 + step))
        assert store.overtake is None, "the two never met"
    return Lake.of(settings).read(FUNDING_RATES)


def test_a_host_that_is_overtaken_in_its_commit_loses_nothing_and_doubles_nothing(
    store: ObjectStore, settings: Settings
) -> None:
    store.refused.clear()
    rows = overtaken(store, settings)
    assert rows.height == rows["funding_time"].n_unique() == 35
    assert [path.rsplit("/", 1)[1] for path in store.refused] == [f"{version:020}.json" for version in (0, 2)]


def test_a_variable_of_the_host_cannot_switch_the_conditional_write_off(
    store: ObjectStore, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CONDITIONAL_PUT", "disabled")
    monkeypatch.setenv("AWS_S3_ALLOW_UNSAFE_RENAME", "true")
    assert overtaken(store, settings).height == 35


def test_a_store_that_overlooks_the_condition_loses_rows(store: ObjectStore, settings: Settings) -> None:
    """Why docs/production.md asks for a store that honours `If-None-Match: *`, and how to ask a store."""
    store.honest = False
    try:
        assert overtaken(store, settings).height < 35
    finally:
        store.honest = True


def test_two_hosts_that_write_at_once_again_and_again_end_with_every_row_once(settings: Settings) -> None:
    def write(offset: int) -> None:
        for step in range(3):
            Lake.of(settings).upsert(FUNDING_RATES, settlements(20, first=offset + step * 10))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, (0, 5)))
    rows = Lake.of(settings).read(FUNDING_RATES)
    assert rows.height == rows["funding_time"].n_unique() == 45


def test_the_signal_that_another_host_recorded_first_stands(
    store: ObjectStore, settings: Settings, tmp_path: Path
) -> None:
    """The rule was applied under a lock of the host only: the later host replaced what an executor had acted on."""
    ours, theirs = (SignalLog(Lake.of(settings), folder=tmp_path / host) for host in ("ours", "theirs"))
    for hour in (NOON, NOON + HOUR):
        store.overtake = lambda at=hour: theirs.write(signal(settings, at, run_id="theirs"))
        assert ours.write(signal(settings, hour, run_id="ours")).run_id == "theirs"
    assert Lake.of(settings).read(SIGNALS)["run_id"].to_list() == ["theirs", "theirs"]
    assert not list((tmp_path / "ours").glob("*.jsonl")), "a line about a record that does not stand"
    assert sum(len(path.read_text().splitlines()) for path in (tmp_path / "theirs").glob("*.jsonl")) == 2


def test_a_bucket_that_is_not_there_is_an_error_and_no_empty_lake(settings: Settings) -> None:
    elsewhere = settings.model_copy(update={"lake_url": "s3://no-such-bucket/lake"})
    with pytest.raises(OSError, match="no-such-bucket"):
        Lake.of(elsewhere).version(FUNDING_RATES)


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("gs://bucket/lake", r"scheme gs:// is not known; a lake is a folder, file:///folder or s3://bucket/prefix"),
        ("S3://bucket/lake", r"scheme S3:// is not known"),
        ("s3:/bucket/lake", r"lacks the two slashes of s3://"),
        ("s3:///lake", r"names no bucket"),
        ("s3://key:hunter2@bucket/lake", r"put the credential into `lake_store`"),
    ],
)
def test_a_location_that_is_no_lake_is_refused_before_anything_is_read(location: str, words: str) -> None:
    """Delta answers "no table" for a scheme it does not know: every stream looked as if it had never been fetched."""
    with pytest.raises(SettingsInvalid, match=words) as from_settings:
        load_settings(lake_url=location)
    with pytest.raises(SettingsInvalid, match=words):
        Lake(location)
    assert "hunter2" not in str(from_settings.value)


def test_a_file_url_is_the_folder(tmp_path: Path) -> None:
    """As a store it had no lock, and two writers of one host could double rows."""
    Lake(f"file://{tmp_path}/lake").upsert(FUNDING_RATES, settlements(2))
    assert (tmp_path / "lake" / ".funding_rates.lock").exists()
    assert Lake(str(tmp_path / "lake")).read(FUNDING_RATES).height == 2


def test_the_key_of_the_store_is_in_no_dump(settings: Settings, tmp_path: Path) -> None:
    assert settings.lake_store.options()["aws_secret_access_key"] == SECRET
    for shown in (str(settings.masked()), repr(settings), settings.model_dump_json()):
        assert SECRET not in shown
    assert settings.masked()["lake_store"]["secret_access_key"] == "**********"


def test_the_key_may_be_in_a_file_and_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "key"
    section = {"access_key_id": KEY_ID, "secret_access_key_file": path}
    with pytest.raises(SettingsInvalid, match=r"lake_store\.secret_access_key_file: .*No such file"):
        Lake.of(load_settings(lake_url="s3://lake/x", lake_store=section))
    path.write_text(f"{SECRET}\n")
    assert load_settings(lake_store=section).lake_store.options()["aws_secret_access_key"] == SECRET


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"access_key_id": KEY_ID}, "belong together"),
        ({"secret_access_key": SECRET}, "belong together"),
        ({"endpoint_url": "store.example:9000"}, "write it like https://store.example:9000"),
        ({"endpoint_url": "https://key:hunter2@store.example"}, "without a credential"),
    ],
)
def test_half_a_key_or_an_odd_endpoint_is_refused(section: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsInvalid, match=words) as refusal:
        load_settings(lake_store=section)
    assert "hunter2" not in str(refusal.value)
    assert SECRET not in str(refusal.value)
