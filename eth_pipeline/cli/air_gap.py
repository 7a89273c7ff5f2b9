"""`bundle export --snapshot`, `bundle import --snapshot|--candidates`, `bundle collect`: both ways across the air gap.

Belongs here: finding what the steps need, output. Does not belong: the steps (`registry.air_gap.snapshot_export`,
`registry.air_gap.snapshot_import`, `registry.air_gap.collection_export`, `registry.air_gap.collection_import`).
docs/air_gap.md has the lines.
"""

import platform
import re
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from eth_pipeline.cli.console import out
from eth_pipeline.contracts.clock import SystemClock, iso
from eth_pipeline.errors import SettingsInvalid, TransferRefused
from eth_pipeline.settings import Settings, load_settings

_OUTGOING = "outgoing"
_TAIL_BYTES = 64 * 2**10
_MOST_LOGS = 100


def export_snapshot(archive: Path | None) -> None:
    """On the signal host: the newest lake as a signed, numbered snapshot in one file."""
    from eth_pipeline.contracts.tables import KLINES
    from eth_pipeline.defs.assets.training_set import registry_store
    from eth_pipeline.defs.resources import Pipeline
    from eth_pipeline.lake import Lake
    from eth_pipeline.operations.manifest import code_version, lock_digest
    from eth_pipeline.registry.air_gap.snapshot_export import ExportingCode, champion_figures, export_snapshot
    from eth_pipeline.registry.runs.tried import tried_before
    from eth_pipeline.signals.forecasting.bundle_in_use import running_schema

    settings = _signing_settings()
    now, lake, code = Pipeline().moment().now, Lake.of(settings), code_version()
    history = {"symbol": settings.symbol, "provenance": lake.provenance(KLINES)}
    tried = tried_before(lake, **history, without="")
    file = archive or settings.home / _OUTGOING / f"snapshot-{_stamp(iso(now))}.zip"
    made = export_snapshot(
        file,
        lake=lake,
        settings=settings,
        code=ExportingCode(code.commit, code.dirty, lock_digest(), running_schema(settings)),
        host=platform.node(),
        tries=max(registry_store(settings).tries(**history), 0 if tried is None else tried["try_id"].n_unique()),
        champion=champion_figures(settings.home),
        as_of=now,
    )
    rows = sum(table.rows for table in made.tables.values())
    _say(f"{file} holds snapshot {made.name}: {rows:,} rows of {len(made.tables)} tables until {iso(now)}.")
    _say("Carry it to the node: eth-pipeline bundle import --snapshot FILE")


def import_snapshot(archive: Path) -> None:
    """On the node: train from this snapshot from now on."""
    from eth_pipeline.defs.resources import exchange_state
    from eth_pipeline.exchange.http.exchange_time import remember_offset
    from eth_pipeline.exchange.http.state import HostState
    from eth_pipeline.operations.manifest import code_version
    from eth_pipeline.registry.air_gap.snapshot import IN_USE, SETTINGS, Snapshot
    from eth_pipeline.registry.air_gap.snapshot_import import import_snapshot
    from eth_pipeline.signals.forecasting.bundle_in_use import running_schema

    settings = load_settings()

    def schema_of(snapshot: Snapshot) -> str:
        fields = ("symbol", "cross_symbols", "base_interval")
        return running_schema(settings.model_copy(update={name: getattr(snapshot, name) for name in fields}))

    snapshot, is_new = import_snapshot(
        archive, home=settings.home, peer_keys=settings.peer_public_keys, schema_of=schema_of
    )
    if not is_new:
        _say(f"Snapshot {snapshot.name} is in use already; nothing was done.")
        return
    # The node has nobody else to ask what time it is: its clock goes on from the export, whatever it shows.
    state = HostState(exchange_state(settings))
    exchange = urlsplit(settings.exchange.futures_url).netloc
    now = SystemClock().now()
    remember_offset(state, exchange, exchange_time=snapshot.exported_at, asked=now, round_trip=timedelta(0))
    state.close()
    _say(f"This home trains from snapshot {snapshot.name} of {snapshot.host}, {iso(snapshot.exported_at)}.")
    if snapshot.code_commit != code_version().commit:
        _say(f"It was exported by commit {snapshot.code_commit[:12]}; here runs {code_version().commit[:12]}.")
    _say(f"Every command that trains needs: export ETH_PIPELINE_CONFIG={settings.home / IN_USE / SETTINGS}")


def collect(archive: Path | None) -> None:
    """On the node: the candidates of the snapshot in use, and everything that tells of them, in one signed file."""
    from eth_pipeline.defs.air_gap import candidates_of
    from eth_pipeline.defs.emission import run_manifest
    from eth_pipeline.defs.instance import open_instance
    from eth_pipeline.defs.resources import Pipeline
    from eth_pipeline.lake import Lake
    from eth_pipeline.operations.manifest import code_version
    from eth_pipeline.registry.air_gap.collection_export import NodeFacts, export_collection
    from eth_pipeline.registry.air_gap.snapshot import snapshot_in_use, snapshot_lake

    settings = _signing_settings()
    snapshot = snapshot_in_use(settings.home)
    if snapshot is None:
        raise TransferRefused(
            f"{settings.home} trains from no snapshot. Import one with `eth-pipeline bundle import --snapshot FILE`; a "
            "host with market data of its own decides about its candidates itself."
        )
    now, code = Pipeline().moment().now, code_version()
    lake = Lake(str(snapshot_lake(settings.home, snapshot)))
    with open_instance(settings) as instance:
        candidates = candidates_of(instance, home=settings.home, snapshot=snapshot)
    node = NodeFacts(
        host=platform.node(),
        commit=code.commit,
        dirty=code.dirty,
        manifest=run_manifest(settings, lake, now=now).as_dict(),
        logs=_log_tails(settings, runs={run for found in candidates for run in found.runs.values()}),
    )
    file = archive or settings.home / _OUTGOING / f"candidates-{snapshot.number:06d}-{_stamp(iso(now))}.zip"
    made = export_collection(
        file,
        candidates=candidates,
        snapshot=snapshot,
        lake=lake,
        settings=settings,
        node=node,
        collected_at=now,
    )
    for each in made.candidates:
        _say(f"{each.fingerprint[:12]}  {each.algorithm}  {each.verdict}")
    _say(f"{file} holds {len(made.candidates)} candidates of snapshot {snapshot.name}.")
    _say("Carry it to the signal host: eth-pipeline bundle import --candidates FILE")


def import_candidates(archive: Path) -> None:
    """On the signal host: keep the candidates of a node, to be decided about here."""
    from eth_pipeline.defs.air_gap import announce
    from eth_pipeline.defs.assets.training_set import registry_store
    from eth_pipeline.defs.instance import open_instance
    from eth_pipeline.defs.resources import Pipeline
    from eth_pipeline.lake import Lake
    from eth_pipeline.registry.air_gap.collection_import import import_collection
    from eth_pipeline.signals.forecasting.bundle_in_use import expectations

    settings = load_settings()
    imported = import_collection(
        archive,
        store=registry_store(settings),
        lake=Lake.of(settings),
        settings=settings,
        **expectations(settings, now=Pipeline().moment().now),
    )
    with open_instance(settings) as instance:
        added = announce(instance, imported, home=settings.home)
    for line in imported:
        _say(f"{line.fingerprint[:12]} of {line.node}, snapshot {line.snapshot_number}, is in {line.folder}.")
    newest = imported[-1]
    if added:
        _say(
            f"Decide about {newest.fingerprint[:12]}: dg launch --assets promotion_decision -m eth_pipeline.definitions"
        )
    else:
        _say("All of them were here already; nothing was done.")


def _signing_settings() -> Settings:
    settings = load_settings()
    if not settings.private_key_path.is_file():
        raise SettingsInvalid(
            f"There is no signing key {settings.private_key_path}: the other side could not know who sent the file. "
            "Run `eth-pipeline keys init` here and carry the public key over once."
        )
    return settings


def _log_tails(settings: Settings, *, runs: set[str]) -> dict[str, bytes]:
    """The ends of the newest logs by name: of services, of training plans, and what the runs wrote."""
    storage = settings.dagster_home / "storage"
    found = {
        **{path.stem: path for path in (settings.home / "logs").glob("*.log")},
        **{f"plan-{path.parent.name}-{path.stem}": path for path in (settings.home / "plans").glob("*/*.log")},
        **{
            f"run-{run}-{path.suffix[1:]}": path for run in runs for path in storage.glob(f"{run}/compute_logs/*.[eo]*")
        },
    }
    written = {name: path for name, path in found.items() if path.stat().st_size}
    newest = sorted(written, key=lambda name: written[name].stat().st_mtime)[-_MOST_LOGS:]
    return {_plain(name): _tail(written[name]) for name in newest}


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)[:100]


def _tail(path: Path) -> bytes:
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        return stream.read()


def _stamp(instant: str) -> str:
    return instant.replace(":", "")


def _say(sentence: str) -> None:
    out.print(sentence, soft_wrap=True, highlight=False, markup=False)
