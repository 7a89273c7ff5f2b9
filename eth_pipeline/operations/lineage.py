"""From a signal back to what made it: forecast, features, bars, model, promotion, code and run.

Belongs here: following the references that a record carries, and reading what they name at the version they name.
Does not belong: showing it (`cli.signals`, the UI), saying it in a language (`contracts.wording.lineage`).

Everything is read again: a step says what is there now under the name that the record wrote then, and says so where
it is gone. Feature rows are named by a digest of their values, so two looks can be compared.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import polars as pl
from deltalake.exceptions import DeltaError

from eth_pipeline.contracts.clock import HOUR, iso
from eth_pipeline.contracts.decision_tables import CONSENSUS, FORECASTS
from eth_pipeline.contracts.signal import SignalRecord
from eth_pipeline.contracts.table import TableContract, at
from eth_pipeline.contracts.tables import KLINES, MARK_KLINES
from eth_pipeline.contracts.wording import lineage as wording
from eth_pipeline.contracts.wording.board import NONE
from eth_pipeline.errors import EthPipelineError
from eth_pipeline.features.catalogue import features_contract
from eth_pipeline.lake import Lake
from eth_pipeline.operations.config_audit import config_history
from eth_pipeline.registry.bundles.verification import fingerprint, read_data_versions, read_report
from eth_pipeline.registry.crossings import Crossings
from eth_pipeline.registry.promotions.promotion_log import PromotionLog
from eth_pipeline.settings import Settings


@dataclass(frozen=True)
class LineageStep:
    """One thing behind a signal: its name and the facts that identify it."""

    name: str
    facts: dict[str, object]


def lineage(record: SignalRecord, *, lake: Lake, settings: Settings) -> tuple[LineageStep, ...]:
    """Everything behind one signal, from the signal down to the code.

    Args:
        record: the hour.
        lake: where its tables are.
        settings: of the home; only paths and table shapes are taken from it.
    """
    return (
        _signal(record),
        _rows("forecast", FORECASTS, record, lake, describe=_forecast),
        _rows("consensus", CONSENSUS, record, lake, describe=_consensus),
        _features(record, lake, settings),
        _bars("klines", KLINES, record, lake),
        _bars("mark_klines", MARK_KLINES, record, lake),
        _model(record, settings),
        _promotion(record, settings),
        *_origin(record, settings),
        _code(record, settings),
    )


def _signal(record: SignalRecord) -> LineageStep:
    return LineageStep(
        "signal",
        {
            "hour": iso(record.decision_time),
            "emitted_at": iso(record.emitted_at),
            "state": str(record.state),
            "action": str(record.action),
            "reasons": record.gating_reason or NONE(),
            "provenance": record.provenance,
        },
    )


def _forecast(rows: pl.DataFrame) -> dict[str, object]:
    acting = rows.filter("acting").sort("horizon_hours")
    return {
        "fingerprint": ", ".join(sorted(set(acting["fingerprint"]))),
        "probability_up": {f"{h} h": p for h, p in acting.select("horizon_hours", "probability_up").rows()},
    }


def _consensus(rows: pl.DataFrame) -> dict[str, object]:
    return {name: rows[name][0] for name in ("direction", "strength", "coverage")}


def _rows(
    name: str,
    table: TableContract,
    record: SignalRecord,
    lake: Lake,
    *,
    describe: Callable[[pl.DataFrame], dict[str, object]],
) -> LineageStep:
    at_hour = (pl.col("symbol") == record.symbol) & (pl.col("decision_time") == at(record.decision_time))
    return _read(name, table, record, lake, where=at_hour, describe=describe)


def _read(
    name: str,
    table: TableContract,
    record: SignalRecord,
    lake: Lake,
    *,
    where: pl.Expr,
    describe: Callable[[pl.DataFrame], dict[str, object]],
) -> LineageStep:
    """Rows of a table at the version that the record names."""
    version = record.table_versions.get(table.name)
    if version is None:
        return LineageStep(name, {"table_version": NONE(), "note": wording.NO_TABLE()})
    try:
        rows = lake.read(table, where=where, version=version)
    except (DeltaError, EthPipelineError, OSError) as error:
        note = wording.UNREADABLE(version=version, why=str(error).partition("\n")[0])
        return LineageStep(name, {"table_version": version, "note": note})
    if not rows.height:
        return LineageStep(name, {"table_version": version, "rows": 0})
    return LineageStep(name, {"table_version": version, "rows": rows.height, **describe(rows)})


def _features(record: SignalRecord, lake: Lake, settings: Settings) -> LineageStep:
    table = features_contract(symbol=record.symbol, cross_symbols=settings.cross_symbols)
    values = [column.name for column in table.columns if column.dtype == pl.Float32]

    def describe(rows: pl.DataFrame) -> dict[str, object]:
        content = rows.select(values).to_numpy().tobytes()
        return {
            "coverage": rows["coverage"][0],
            "clean": rows["clean"][0],
            "values_sha256": hashlib.sha256(content).hexdigest(),
        }

    return _rows("features", table, record, lake, describe=describe)


def _bars(name: str, table: TableContract, record: SignalRecord, lake: Lake) -> LineageStep:
    """The base bars of the hour that ended at the decision."""
    end, begin = (at(t) for t in (record.decision_time, record.decision_time - HOUR))
    where = (pl.col("symbol") == record.symbol) & (pl.col("close_time") > begin) & (pl.col("close_time") <= end)

    def describe(rows: pl.DataFrame) -> dict[str, object]:
        newest = rows.sort("close_time").row(-1, named=True)
        return {
            "newest_close_time": iso(newest["close_time"]),
            "close": newest["close"],
            "known_at": iso(newest["available_at"]),
            "source": newest["source"],
            "provenance": newest["provenance"],
        }

    return _read(name, table, record, lake, where=where, describe=describe)


def _model(record: SignalRecord, settings: Settings) -> LineageStep:
    name = record.ml.ml_fingerprint
    if name is None:
        return LineageStep("model", {"version": NONE(), "note": record.ml.ml_reason})
    facts: dict[str, object] = {"version": record.model_version, "fingerprint": name}
    folder = settings.home / "production" / name
    try:
        intact = fingerprint(folder) == name
        report, data = read_report(folder), read_data_versions(folder)
    except EthPipelineError as error:
        return LineageStep("model", facts | {"note": wording.GONE(why=error)})
    headline = report.horizons[0]
    return LineageStep(
        "model",
        facts
        | {
            "files": wording.INTACT() if intact else wording.CHANGED(),
            "algorithm": report.algorithm,
            "verdict": report.verdict,
            f"auc_{headline.horizon_hours}h": headline.auc.value,
            "trained_until": iso(data.last_decision_time),
            "trained_on": data.versions,
            "training_data_sha256": data.digest,
        },
    )


def _promotion(record: SignalRecord, settings: Settings) -> LineageStep:
    """The one entry of the log that put the model into use last before the hour."""
    name = record.ml.ml_fingerprint
    try:
        entries = PromotionLog.of(settings.home).verify()
    except EthPipelineError as error:
        return LineageStep("promotion", {"note": str(error)})
    moves = ("promoted", "rolled_back", "adopted")
    found = [e for e in entries if e.fingerprint == name and e.action in moves and e.at <= record.emitted_at]
    if not found:
        return LineageStep("promotion", {"note": wording.NO_PROMOTION()})
    entry = found[-1]
    return LineageStep(
        "promotion",
        {
            "decision": entry.decision_id,
            "action": entry.action,
            "at": iso(entry.at),
            "log_line": entry.sequence,
            "log_sha256": entry.sha256,
            "run": entry.run_id,
            "reason": entry.reason,
        },
    )


def _origin(record: SignalRecord, settings: Settings) -> tuple[LineageStep, ...]:
    """Beyond the air gap: node and snapshot of a model that was imported; no step for one that was trained here."""
    try:
        found = Crossings(settings.home).origin_of(record.ml.ml_fingerprint or "")
        exported = Crossings(settings.home).exported()
    except EthPipelineError as error:
        return (LineageStep("snapshot", {"note": str(error)}),)
    if found is None:
        return ()
    facts: dict[str, object] = {
        "number": found.snapshot_number,
        "sha256": found.snapshot_digest,
        "node": found.node,
        "node_commit": found.node_commit,
        "node_runs": found.node_runs,
        "collection_sha256": found.collection,
        "signed_with": found.signed_with,
        "imported_at": iso(found.imported_at),
        "mlflow_run": found.mlflow_run,
    }
    for line in exported:
        if line.digest == found.snapshot_digest:
            facts |= {"exported_at": iso(line.exported_at), "exported_tables": line.table_versions}
    return (LineageStep("snapshot", facts),)


def _code(record: SignalRecord, settings: Settings) -> LineageStep:
    used = [change for change in config_history(settings.home) if change.digest == record.config_digest]
    return LineageStep(
        "code",
        {
            "commit": record.code_commit,
            "run": record.run_id,
            "configuration": record.config_digest,
            "configuration_in_use_since": used[-1].at if used else wording.NOT_RECORDED(),
            "phase": record.phase,
        },
    )
