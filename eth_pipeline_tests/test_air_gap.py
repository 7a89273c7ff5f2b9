"""The air gap walked both ways: two homes, a node without any route, and the signal of a model that came across.

The signal host exports a snapshot of a market with a planted signal; the node imports it, trains and collects inside a
network namespace that has not even a loopback; the host imports, decides, promotes and signals. One chain, walked once
by a module fixture; the tests look at what it left. The gates are the defaults.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from typer.testing import CliRunner, Result

from eth_pipeline import defs as dagster_layer
from eth_pipeline.cli import app
from eth_pipeline.contracts.artifact import RuntimeContract
from eth_pipeline.contracts.signal import SignalRecord
from eth_pipeline.contracts.tables import KLINES
from eth_pipeline.exchange.http.transport import Transport
from eth_pipeline.exchange.ingest import ingest_stream
from eth_pipeline.lake import Lake
from eth_pipeline.registry.air_gap.snapshot import snapshot_in_use
from eth_pipeline.registry.bundles.keys import init_keys
from eth_pipeline.registry.bundles.verification import read_contract, read_report
from eth_pipeline.registry.mlflow_store import RegistryStore
from eth_pipeline.registry.promotions.promotion_log import PromotionLog
from eth_pipeline.sandbox.server import Sandbox
from eth_pipeline.sandbox.synthetic import SyntheticMarket
from eth_pipeline.settings import load_settings
from eth_pipeline_tests.crossing_home import everything_in
from eth_pipeline_tests.registry_maker import registry_folder
from eth_pipeline_tests.small_home import SmallHome, failure_text

AS_OF = datetime(2025, 6, 29, 12, 0, 20, tzinfo=UTC)
START = AS_OF.replace(hour=0, second=0) - timedelta(days=730)
SYMBOLS = ("ETHUSDT", "BTCUSDT")
STREAMS = ("klines", "mark_klines", "spot_klines", "funding_rates")
TRAINED_ON_THE_NODE = "features,labels,lightgbm_model,candidate_bundle"
THE_HOUR = (*STREAMS, "features", "consensus", "forecast", "gate_verdict", "paper_account", "hourly_signal")
IN_PROCESS = json.dumps({"execution": {"config": {"in_process": {}}}})
TRIED_BEFORE = 3
OFFLINE = ("unshare", "-rn")


@pytest.fixture(scope="module")
def offline() -> tuple[str, ...]:
    """What is put before a command so that it runs without any network."""
    if shutil.which("unshare") is None:
        pytest.skip("no unshare on PATH; the air gap needs network namespaces (Linux, util-linux)")
    tried = subprocess.run([*OFFLINE, "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"no network namespace may be made here: {tried.stderr.strip()}")
    return OFFLINE


@dataclass(frozen=True)
class Node:
    """A home that only ever sees what files bring; every command of it runs without a network."""

    folder: Path
    environment: dict[str, str]
    offline: tuple[str, ...]

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.offline, *command],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def cli(self, *arguments: str) -> str:
        """One of our commands; returns what it printed."""
        done = self.run(sys.executable, "-m", "eth_pipeline", *arguments)
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def train(self) -> None:
        asked = (
            "asset",
            "materialize",
            "-m",
            "eth_pipeline.definitions",
            "--select",
            TRAINED_ON_THE_NODE,
            "--config-json",
            IN_PROCESS,
        )
        done = self.run(sys.executable, "-m", "dagster", *asked)
        assert done.returncode == 0, done.stderr[-4000:] + done.stdout[-4000:]


@dataclass(frozen=True)
class Crossed:
    """Both homes after the whole way, and the files that were carried."""

    host: SmallHome
    node: Node
    snapshot: Path
    candidates: Path
    imported: Result
    lineage: dict[str, Any]
    record: SignalRecord


@contextmanager
def signal_host(folder: Path, registry: Path, *, node_key: Path) -> Iterator[SmallHome]:
    """A home with two years of hourly bars of a market with a planted signal, its exchange, and an empty registry."""
    end = AS_OF + timedelta(days=5)
    market = SyntheticMarket(seed=7, start=START, end=end, signal_strength=1.5, symbols=SYMBOLS)
    with Sandbox(market, now=AS_OF, port=0) as sandbox:
        environment = {
            "ETH_PIPELINE_HOME": str(folder),
            "ETH_PIPELINE_BASE_INTERVAL": "1h",
            "ETH_PIPELINE_HISTORY_START": START.isoformat(),
            "ETH_PIPELINE_CROSS_SYMBOLS": json.dumps(SYMBOLS[1:]),
            "ETH_PIPELINE_PEER_PUBLIC_KEYS": json.dumps([str(node_key)]),
            "ETH_PIPELINE_TRAINING__HORIZONS_HOURS": "[5]",
            "ETH_PIPELINE_TRAINING__REFIT_EVERY_HOURS": str(24 * 190),
            "ETH_PIPELINE_TRAINING__BOOTSTRAP_SAMPLES": "200",
            **{f"ETH_PIPELINE_EXCHANGE__{name}_URL": sandbox.url for name in ("FUTURES", "SPOT", "ARCHIVE")},
        }
        home = SmallHome(folder, sandbox, environment)
        with_registry(folder, registry)
        with home.entered():
            settings = load_settings()
            with Transport(settings.exchange, state_path=folder / "exchange_state.sqlite") as transport:
                for stream in STREAMS:
                    ingest_stream(stream, transport=transport, lake=Lake.of(settings), settings=settings, now=AS_OF)
        yield home


def with_registry(home: Path, registry: Path) -> None:
    """An empty MLflow where a home expects its own; creating its tables anew takes seconds."""
    (home / "mlflow").mkdir(parents=True)
    shutil.copyfile(registry / "mlflow.db", home / "mlflow" / "mlflow.db")


def try_before(host: SmallHome) -> None:
    """Configurations that the host's registry knows, of which no series is left to compare with."""
    from mlflow import MlflowClient

    with host.entered():
        settings = load_settings()
    client = MlflowClient(tracking_uri=settings.mlflow_location)
    experiment = client.create_experiment("eth_pipeline", artifact_location=str(settings.home / "mlflow" / "artifacts"))
    for number in range(TRIED_BEFORE):
        run = client.create_run(experiment)
        for name, value in (("symbol", "ETHUSDT"), ("provenance", "simulated"), ("parameters_digest", str(number))):
            client.log_param(run.info.run_id, name, value)


def prepare_node(folder: Path, registry: Path) -> None:
    """What `eth-pipeline prepare` leaves, as far as one run at a time needs it."""
    with_registry(folder, registry)
    (folder / "dagster").mkdir()
    shutil.copyfile(Path(dagster_layer.__file__).with_name("dagster.yaml"), folder / "dagster" / "dagster.yaml")


def on_host(host: SmallHome, *arguments: str) -> Result:
    """One of our commands in this process, with the host's environment."""
    with host.entered():
        return CliRunner().invoke(app, list(arguments))


@pytest.fixture(scope="module")
def crossed(tmp_path_factory: pytest.TempPathFactory, offline: tuple[str, ...]) -> Iterator[Crossed]:
    """Export, carry, import, train, collect, carry, import, decide, promote, signal."""
    base = tmp_path_factory.mktemp("gap")
    node_home, usb = base / "node", base / "usb"
    keys = [init_keys(private_key=home / "keys" / "bundle.key", public_key=home / "keys" / "bundle.pub")
            for home in (base / "host", node_home)]  # fmt: skip
    host_key, node_key = (shutil.copyfile(pair.public_key, base / f"{name}.pub")
                          for pair, name in zip(keys, ("host", "node"), strict=True))  # fmt: skip
    registry = registry_folder(tmp_path_factory)
    with signal_host(base / "host", registry, node_key=node_key) as host:
        try_before(host)
        snapshot, candidates = usb / "snapshot.zip", usb / "candidates.zip"
        exported = on_host(host, "bundle", "export", "--snapshot", str(snapshot))
        assert exported.exit_code == 0, exported.output
        node = Node(
            node_home,
            {
                "ETH_PIPELINE_HOME": str(node_home),
                "DAGSTER_HOME": str(node_home / "dagster"),
                "ETH_PIPELINE_PEER_PUBLIC_KEYS": json.dumps([str(host_key)]),
            },
            offline,
        )
        node.cli("bundle", "import", "--snapshot", str(snapshot))
        node.environment["ETH_PIPELINE_CONFIG"] = str(node_home / "snapshot" / "settings.toml")
        prepare_node(node_home, registry)
        node.train()
        node.cli("bundle", "collect", str(candidates))
        host.sandbox.clock.advance(timedelta(hours=1))
        imported = on_host(host, "bundle", "import", "--candidates", str(candidates))
        assert imported.exit_code == 0, imported.output
        with host.entered() as instance:
            for assets in (("promotion_decision",), ("production_bundle",), THE_HOUR):
                result = host.materialize(*assets, instance=instance)
                assert result.success, failure_text(result)
        told = on_host(host, "signals", "lineage", "--json")
        yield Crossed(host, node, snapshot, candidates, imported, json.loads(told.stdout), host.signals()[-1])


def production_of(host: SmallHome) -> RuntimeContract:
    return read_contract(next(path for path in (host.folder / "production").iterdir() if path.is_dir()))


@pytest.mark.slow
def test_the_signal_names_the_model_that_was_trained_without_a_network(crossed: Crossed) -> None:
    record, steps = crossed.record, crossed.lineage
    assert record.state in ("tradeable", "degraded")
    assert record.model_version == "1"
    assert record.ml.ml_fingerprint == steps["model"]["fingerprint"]
    assert steps["promotion"]["action"] == "promoted"
    snapshot = snapshot_in_use(crossed.node.folder)
    assert snapshot is not None
    assert steps["snapshot"]["sha256"] == snapshot.digest
    assert steps["snapshot"]["node"] == platform.node()
    assert set(steps["snapshot"]["node_runs"]) == set(TRAINED_ON_THE_NODE.split(","))
    lake = Lake(str(crossed.host.folder / "lake"))
    assert 0 <= steps["snapshot"]["exported_tables"]["klines"] < (lake.version(KLINES) or 0), "the hour came after it"


@pytest.mark.slow
def test_the_node_reached_nobody(crossed: Crossed) -> None:
    """The exchange answers on this machine, and not where the node lived."""
    port = crossed.host.sandbox.url.rpartition(":")[2]
    knock = f"import socket; socket.create_connection(('127.0.0.1', {port}), 5)"
    assert subprocess.run([sys.executable, "-c", knock], check=False).returncode == 0
    refused = crossed.node.run(sys.executable, "-c", knock)
    assert refused.returncode == 1
    assert "Network is unreachable" in refused.stderr


@pytest.mark.slow
def test_the_nodes_time_goes_on_from_the_export_whatever_its_clock_shows(crossed: Crossed) -> None:
    """A node without a network cannot ask; a candidate dated by its own clock expires at a wrong time, or never."""
    contract = production_of(crossed.host)
    assert AS_OF <= contract.created_at < AS_OF + timedelta(hours=1)
    assert contract.trained_until <= AS_OF


@pytest.mark.slow
def test_the_decision_was_made_on_the_signal_host(crossed: Crossed) -> None:
    assert [entry.action for entry in PromotionLog.of(crossed.host.folder).verify()] == ["promoting", "promoted"]
    assert not PromotionLog.of(crossed.node.folder).path.exists()


@pytest.mark.slow
def test_the_node_counts_what_the_host_had_tried(crossed: Crossed) -> None:
    """A node that began to count at one would pass gates that the host's own candidates fail."""
    (trained,) = (crossed.node.folder / "candidates").iterdir()
    assert read_report(trained).tries == TRIED_BEFORE


@pytest.mark.slow
def test_dagster_on_the_host_shows_which_run_of_the_node_made_the_candidate(crossed: Crossed) -> None:
    with crossed.host.entered() as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey("candidate_bundle"))
    assert event is not None
    made = event.asset_materialization
    assert made is not None
    assert made.metadata["node"].value == platform.node()
    assert made.metadata["snapshot"].value == 1
    runs = crossed.lineage["snapshot"]["node_runs"]
    assert made.metadata["node_runs"].value == runs
    (history,) = (crossed.node.folder / "dagster").rglob(f"{runs['lightgbm_model']}.db")
    assert history.is_file(), "the id is one of the node's own runs"


@pytest.mark.slow
def test_the_version_in_the_registry_says_where_it_was_trained(crossed: Crossed) -> None:
    from mlflow import MlflowClient

    with crossed.host.entered():
        settings = load_settings()
    client = MlflowClient(tracking_uri=settings.mlflow_location)
    version = client.get_model_version("eth_pipeline", "1")
    for tags in (version.tags, client.get_run(str(version.run_id)).data.tags):
        assert tags["origin_node"] == platform.node()
        assert tags["origin_snapshot_digest"] == crossed.lineage["snapshot"]["sha256"]
        assert tags["origin_mlflow_run"] == crossed.lineage["snapshot"]["mlflow_run"]
    papers = {item.path for item in client.list_artifacts(tags["origin_mlflow_run"], "origin")}
    run_id = crossed.lineage["snapshot"]["node_runs"]["lightgbm_model"]
    assert {"origin/collection.json", "origin/runtime_manifest.json", f"origin/run-{run_id}-err.log"} <= papers
    assert RegistryStore(settings.mlflow_location, artifact_root=settings.home).tries() == TRIED_BEFORE + 1


@pytest.mark.slow
def test_importing_the_same_candidates_again_announces_nothing(crossed: Crossed) -> None:
    again = on_host(crossed.host, "bundle", "import", "--candidates", str(crossed.candidates))
    assert (again.exit_code, "nothing was done" in again.output) == (0, True), again.output


@pytest.mark.slow
def test_a_tampered_or_downgraded_file_exits_1_with_its_own_error(crossed: Crossed, tmp_path: Path) -> None:
    node = SmallHome(
        tmp_path / "node",
        crossed.host.sandbox,
        {
            **crossed.node.environment,
            "ETH_PIPELINE_HOME": str(tmp_path / "node"),
            "ETH_PIPELINE_EXCHANGE__FUTURES_URL": crossed.host.sandbox.url,
        },
    )
    del node.environment["ETH_PIPELINE_CONFIG"]
    newer = tmp_path / "newer.zip"
    assert on_host(crossed.host, "bundle", "export", "--snapshot", str(newer)).exit_code == 0
    assert on_host(node, "bundle", "import", "--snapshot", str(newer)).exit_code == 0
    before = everything_in(node.folder)
    downgraded = on_host(node, "bundle", "import", "--snapshot", str(crossed.snapshot))
    assert (downgraded.exit_code, "TransferDowngraded" in downgraded.stderr) == (1, True)
    flipped = bytearray(newer.read_bytes())
    flipped[len(flipped) // 2] ^= 1
    newer.write_bytes(flipped)
    tampered = on_host(node, "bundle", "import", "--snapshot", str(newer))
    assert (tampered.exit_code, "ArchiveRefused" in tampered.stderr) == (1, True), "the zip's own checksum"
    assert everything_in(node.folder) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ("export",),
        ("export", "folder"),
        ("export", "--snapshot", "one.zip", "two.zip"),
        ("import",),
        ("import", "one.zip"),
        ("import", "one.zip", "folder", "--snapshot", "two.zip"),
        ("import", "--snapshot", "one.zip", "--candidates", "two.zip"),
    ],
)
def test_a_mix_of_the_three_kinds_of_files_is_wrong_usage(arguments: tuple[str, ...]) -> None:
    assert CliRunner().invoke(app, ["bundle", *arguments]).exit_code == 2


def test_a_host_with_data_of_its_own_has_nothing_to_collect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETH_PIPELINE_HOME", str(tmp_path))
    unsigned = CliRunner().invoke(app, ["bundle", "collect"])
    assert (unsigned.exit_code, "keys init" in unsigned.stderr) == (1, True)
    init_keys(private_key=tmp_path / "keys" / "bundle.key", public_key=tmp_path / "keys" / "bundle.pub")
    refused = CliRunner().invoke(app, ["bundle", "collect"])
    assert (refused.exit_code, "trains from no snapshot" in refused.stderr) == (1, True)


def test_the_key_of_the_other_side_is_shown_and_signs_nothing_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("home", "peer"):
        keys = tmp_path / name / "keys"
        pair = init_keys(private_key=keys / "bundle.key", public_key=keys / "bundle.pub")
    monkeypatch.setenv("ETH_PIPELINE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ETH_PIPELINE_PEER_PUBLIC_KEYS", json.dumps([str(pair.public_key)]))
    assert "other side of the air gap" in CliRunner().invoke(app, ["keys", "show"]).output
    shown = json.loads(CliRunner().invoke(app, ["keys", "show", "--json"]).stdout)
    assert [key["key_id"] for key in shown["peers"]] == [pair.key_id]
    assert pair.key_id not in [key["key_id"] for key in shown["pinned"]]
