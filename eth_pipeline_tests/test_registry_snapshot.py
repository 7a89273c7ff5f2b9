"""Tests of snapshot, snapshot_export and snapshot_import: a training snapshot crosses whole, or not at all."""

import json
import tomllib
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from eth_pipeline.contracts.model_tables import OOF_FORECASTS, TRIED_PNL
from eth_pipeline.contracts.tables import FUNDING_RATES, KLINES, MARK_KLINES
from eth_pipeline.errors import (
    ArchiveRefused,
    EthPipelineError,
    HashMismatch,
    ProvenanceMismatch,
    SchemaMismatch,
    SettingsInvalid,
    SignatureRefused,
    TransferDowngraded,
    TransferRefused,
)
from eth_pipeline.lake import Lake
from eth_pipeline.registry.air_gap.snapshot import SNAPSHOT, ChampionFigures, snapshot_in_use
from eth_pipeline.registry.crossings import Crossings
from eth_pipeline.registry.promotions.champion import store_oof
from eth_pipeline.registry.runs.tried import store_tried
from eth_pipeline.settings import load_settings
from eth_pipeline_tests.crossing_home import TRIES, Gap, everything_in, out_of_fold, repacked
from eth_pipeline_tests.decision_samples import HOUR, NOON, bars, walk

CHAMPION = ChampionFigures(fingerprint="c" * 64, version="7", oof_auc=0.55, test_auc=0.54, first_horizon_auc=0.55)
SECRET = "not-for-the-node"


@pytest.fixture
def gap(tmp_path: Path) -> Gap:
    return Gap(tmp_path)


def test_the_node_reads_the_same_rows_as_the_host_and_nothing_else(gap: Gap) -> None:
    archive, made = gap.export()
    taken, is_new = gap.take(archive)
    assert (taken, is_new) == (made, True)
    assert_frame_equal(gap.node_lake.read(KLINES), Lake.of(gap.host).read(KLINES))
    assert set(made.tables) == {"klines", "mark_klines"}, "what the lake does not have does not travel"
    assert gap.node_lake.version(FUNDING_RATES) is None
    assert made.tables["klines"].newest == Lake.of(gap.host).newest(KLINES)


def test_the_settings_that_come_with_it_make_the_node_train_as_the_host_would(
    gap: Gap, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node with other horizons or another embargo trains something that the host never asked for."""
    training = gap.host.training.model_copy(update={"horizons_hours": (5,), "max_train_hours": 9_000})
    gates = gap.host.gates.model_copy(update={"bundle_valid_days": 9})
    chosen = {"phase": "live", "symbol": "SOLUSDT", "history_start": NOON, "training": training, "gates": gates}
    host = gap.host.model_copy(update=chosen)
    assert host.cross_symbols != load_settings().cross_symbols, "or the default would do"
    gap.take(gap.export(settings=host)[0])
    settings_file = gap.node.home / "snapshot" / "settings.toml"
    monkeypatch.setenv("ETH_PIPELINE_CONFIG", str(settings_file))
    there = load_settings(home=gap.node.home)
    for name in ("phase", "symbol", "cross_symbols", "base_interval", "history_start", "training", "gates"):
        assert getattr(there, name) == getattr(host, name), name
    assert Lake.of(there).read(KLINES).height == 4
    assert set(tomllib.loads(settings_file.read_text())) < set(type(host).model_fields)


def test_no_secret_leaves_the_host(gap: Gap) -> None:
    inference = gap.host.inference.model_copy(update={"token": SECRET})
    host = load_settings(
        **{name: getattr(gap.host, name) for name in ("home", "signing_private_key", "signing_public_keys")},
        inference=inference.model_dump(),
        postgres_url=f"postgresql://writer:{SECRET}@database/dagster",
    )
    archive, made = gap.export(settings=host)
    assert SECRET.encode() not in archive.read_bytes()
    assert made.settings["postgres_url"] == "postgresql://writer:***@database/dagster"
    assert made.config_digest == host.digest()


def test_the_champion_and_every_try_travel_because_a_candidate_is_measured_against_them(gap: Gap) -> None:
    lake, rows = Lake.of(gap.host), out_of_fold(seed=1)
    history = {"symbol": "ETHUSDT", "provenance": "simulated"}
    for fingerprint in (CHAMPION.fingerprint, "d" * 64):
        store_oof(lake, rows, fingerprint=fingerprint, **history)
    for symbol in ("ETHUSDT", "BTCUSDT"):
        store_tried(
            lake, rows, name="e" * 64, algorithm="lightgbm", symbol=symbol, provenance="simulated", cost_bps=14.0
        )
    _, made = gap.export(champion=CHAMPION)
    gap.take(gap.carried / "snapshot.zip")
    assert set(gap.node_lake.read(OOF_FORECASTS)["fingerprint"]) == {CHAMPION.fingerprint}
    assert set(gap.node_lake.read(TRIED_PNL)["symbol"]) == {"ETHUSDT"}
    assert (made.champion, made.tries) == (CHAMPION, TRIES)


def test_numbers_ascend_and_every_export_is_remembered(gap: Gap) -> None:
    made = [gap.export(f"{n}.zip")[1] for n in range(3)]
    assert [snapshot.number for snapshot in made] == [1, 2, 3]
    lines = Crossings(gap.host.home).exported()
    assert [(line.number, line.digest) for line in lines] == [(s.number, s.digest) for s in made]


def test_a_newer_snapshot_takes_over_with_a_lake_of_its_own_and_the_nodes_tries(gap: Gap) -> None:
    """Tries that never reached the host are tries all the same: a node that forgot them would find luck."""
    gap.take(gap.export()[0])
    first = gap.node_lake
    gap.train("first")
    gap.fill(hours=9)
    gap.take(gap.export("next.zip", as_of=NOON + HOUR)[0])
    assert (gap.node_lake.read(KLINES).height, first.read(KLINES).height) == (9, 4)
    assert gap.node_lake.read(TRIED_PNL)["try_id"].n_unique() == 1


def test_the_snapshot_in_use_again_changes_nothing(gap: Gap) -> None:
    archive, made = gap.export()
    gap.take(archive)
    before = everything_in(gap.node.home)
    assert gap.take(archive) == (made, False)
    assert everything_in(gap.node.home) == before


def test_an_older_snapshot_is_refused_and_the_newer_one_stays(gap: Gap) -> None:
    old, _ = gap.export("old.zip")
    new, newer = gap.export("new.zip", as_of=NOON + HOUR)
    gap.take(new)
    before = everything_in(gap.node.home)
    with pytest.raises(TransferDowngraded, match="is not newer than 000002"):
        gap.take(old)
    assert snapshot_in_use(gap.node.home) == newer
    assert everything_in(gap.node.home) == before


def test_a_second_host_with_numbers_of_its_own_is_no_successor(gap: Gap, tmp_path: Path) -> None:
    gap.take(gap.export()[0])
    twin = gap.host.model_copy(update={"home": tmp_path / "twin"})
    same_number, _ = gap.export("twin.zip", settings=twin, as_of=NOON + HOUR)
    with pytest.raises(TransferDowngraded):
        gap.take(same_number)


def test_data_of_another_exchange_need_another_home(gap: Gap) -> None:
    gap.take(gap.export()[0])
    recorded = bars(walk(4), first=NOON - 4 * HOUR).with_columns(provenance=pl.lit("replay"))
    other = gap.folder / "replayed"
    lake = Lake(str(other / "lake"))
    lake.upsert(KLINES, recorded)
    mark = Lake.of(gap.host).read(MARK_KLINES).with_columns(provenance=pl.lit("replay"))
    lake.upsert(MARK_KLINES, mark)
    archive, _ = gap.export("replay.zip", lake=lake)
    before = everything_in(gap.node.home)
    with pytest.raises(ProvenanceMismatch, match="holds replay data, this home trains on simulated"):
        gap.take(archive)
    assert everything_in(gap.node.home) == before


def test_code_that_computes_other_features_is_told_before_it_trains_in_vain(gap: Gap) -> None:
    archive, _ = gap.export()
    with pytest.raises(SchemaMismatch, match="Bring the same commit"):
        gap.take(archive, schema="0" * 64)
    assert snapshot_in_use(gap.node.home) is None


def test_a_lake_without_bars_is_not_exported_and_takes_no_number(gap: Gap, tmp_path: Path) -> None:
    empty = Lake(str(tmp_path / "empty"))
    with pytest.raises(EthPipelineError, match="Ingest"):
        gap.export(lake=empty)
    assert not gap.carried.exists() or not list(gap.carried.iterdir())
    assert Crossings(gap.host.home).exported() == ()


def test_without_a_key_nothing_is_exported(gap: Gap, tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="keys init"):
        gap.export(settings=gap.host.model_copy(update={"signing_private_key": tmp_path / "none.key"}))
    assert list(gap.carried.iterdir()) == []
    assert Crossings(gap.host.home).exported() == ()


def edited_table(folder: Path) -> None:
    path = folder / "tables" / "klines.parquet"
    pl.read_parquet(path).with_columns(pl.col("close") * 1.01).write_parquet(path)


def edited_number(folder: Path) -> None:
    content = json.loads((folder / SNAPSHOT).read_text())
    (folder / SNAPSHOT).write_text(json.dumps(content | {"number": 99}))


def fewer_tries(folder: Path) -> None:
    content = json.loads((folder / SNAPSHOT).read_text())
    (folder / SNAPSHOT).write_text(json.dumps(content | {"tries": 0}))


def no_table(folder: Path) -> None:
    (folder / "tables" / "mark_klines.parquet").unlink()


def one_more_table(folder: Path) -> None:
    (folder / "tables" / "funding_rates.parquet").write_bytes((folder / "tables" / "klines.parquet").read_bytes())


def no_signature(folder: Path) -> None:
    (folder / "model.sig").unlink()


def strange_file(folder: Path) -> None:
    (folder / "run.sh").write_text("#!/bin/sh\n")


TAMPERED: list[tuple[str, Callable[[Path], None], str | None, type[EthPipelineError], str]] = [
    ("a price", edited_table, None, HashMismatch, "not what was signed"),
    ("a higher number", edited_number, None, HashMismatch, "not what was signed"),
    ("fewer tries", fewer_tries, None, HashMismatch, "not what was signed"),
    ("a table taken out", no_table, None, HashMismatch, "not what was signed"),
    ("a table put in", one_more_table, None, HashMismatch, "not what was signed|does not cover"),
    ("no signature", no_signature, None, SignatureRefused, "nobody vouches for this snapshot"),
    ("signed by a stranger", edited_table, "stranger", SignatureRefused, "`peer_public_keys`"),
    ("signed by the node itself", edited_table, "node", SignatureRefused, "`peer_public_keys`"),
    ("a foreign file", strange_file, None, ArchiveRefused, "which no snapshot has"),
    ("a table that its description does not name", one_more_table, "host", HashMismatch, "describes different files"),
    ("a table that is not the described one", edited_table, "host", HashMismatch, "not the one it describes"),
]


@pytest.mark.parametrize(
    ("change", "key", "error", "words"), [row[1:] for row in TAMPERED], ids=[r[0] for r in TAMPERED]
)
def test_a_tampered_snapshot_is_refused_and_leaves_nothing(
    gap: Gap, change: Callable[[Path], None], key: str | None, error: type[EthPipelineError], words: str
) -> None:
    first, _ = gap.export("first.zip")
    gap.take(first)
    archive, _ = gap.export(as_of=NOON + HOUR)
    before = everything_in(gap.node.home)
    tampered = repacked(archive, change=change, key=gap.folder / f"{key}.key" if key else None)
    with pytest.raises(EthPipelineError, match=words) as refusal:
        gap.take(tampered)
    assert refusal.type is error
    assert everything_in(gap.node.home) == before
    assert gap.take(archive)[1], "the untouched one still works"


def test_a_cut_file_and_a_path_that_leads_out_are_refused(gap: Gap) -> None:
    archive, _ = gap.export()
    cut = gap.carried / "cut.zip"
    cut.write_bytes(archive.read_bytes()[:-400])
    outward = gap.carried / "outward.zip"
    with zipfile.ZipFile(outward, "w") as packed:
        packed.writestr("../../keys/bundle.pub", b"x")
    for file in (cut, outward, gap.carried / "absent.zip"):
        with pytest.raises(ArchiveRefused):
            gap.take(file)
    assert everything_in(gap.node.home) == {}


def test_rows_that_break_their_contract_are_refused_though_signed(gap: Gap) -> None:
    """The other host may run older code: its key is trusted, its rows are checked all the same."""
    lake = Lake.of(gap.host)
    broken = bars(walk(2), first=NOON).with_columns(high=pl.lit(1.0))
    broken.write_delta(lake.uri(KLINES), mode="append")
    archive, _ = gap.export()
    with pytest.raises(EthPipelineError, match="break rule"):
        gap.take(archive)
    assert snapshot_in_use(gap.node.home) is None
    assert everything_in(gap.node.home) == {}


def test_what_a_killed_import_left_behind_does_not_stand_in_the_way(gap: Gap) -> None:
    archive, made = gap.export()
    left_over = gap.node.home / "snapshots" / ".incoming-killed" / "arrived"
    unpointed = gap.node.home / "snapshots" / made.name / "lake"
    for folder in (left_over, unpointed):
        folder.mkdir(parents=True)
        (folder / "half").write_text("written")
    assert gap.take(archive)[1]
    assert not left_over.exists()
    assert not (unpointed / "half").exists()
    assert gap.node_lake.read(KLINES).height == 4


def test_a_snapshot_in_use_that_cannot_be_read_is_an_error_and_not_the_absence_of_one(gap: Gap) -> None:
    gap.take(gap.export()[0])
    (gap.node.home / "snapshot" / SNAPSHOT).write_text("{}")
    with pytest.raises(TransferRefused, match="no snapshot that this code reads"):
        snapshot_in_use(gap.node.home)


def test_two_exports_of_the_same_rows_differ_by_number_only(gap: Gap) -> None:
    one, two = (gap.export(f"{n}.zip")[1] for n in range(2))
    assert one.model_copy(update={"number": 2}) == two
    assert one.digest != two.digest
    assert timedelta(0) == two.exported_at - one.exported_at
