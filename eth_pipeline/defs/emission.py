"""Emitting signal records from a run: the newest hour through the gate, missed hours as blocked.

Belongs here: the one path by which any run, however started, writes a signal. Does not belong: the rules of
the decision (`signals`), the storage rules (`operations.signal_log`).
"""

from datetime import datetime, timedelta
from typing import TypedDict

import dagster as dg

from eth_pipeline.contracts.clock import HOUR, SystemClock, floor_hour
from eth_pipeline.contracts.decision_tables import CONSENSUS, FORECASTS, SIGNALS
from eth_pipeline.contracts.signal import SignalRecord
from eth_pipeline.contracts.tables import KLINES, STREAMS
from eth_pipeline.defs.account_limits import risk_reasons
from eth_pipeline.defs.resources import Moment, Pipeline
from eth_pipeline.features.catalogue import features_contract
from eth_pipeline.lake import Lake
from eth_pipeline.operations.announcements import announce
from eth_pipeline.operations.config_audit import record_configuration
from eth_pipeline.operations.manifest import Manifest, code_version, collect_manifest, table_versions, write_manifest
from eth_pipeline.operations.signal_log import SignalLog
from eth_pipeline.settings import Settings
from eth_pipeline.signals.evidence import load_evidence
from eth_pipeline.signals.gating.kill_switch import halted, pull
from eth_pipeline.signals.gating.states import LOOK_BACK_HOURS, PastHour
from eth_pipeline.signals.hourly import decide_hour, failed_record, missed_record
from eth_pipeline.trading.account import held_share

_LONGEST_FILL = timedelta(days=31)


class Origin(TypedDict):
    """Which run, code, configuration and market a record comes from."""

    provenance: str
    run_id: str
    code_commit: str
    config_digest: str


def emit_newest_hour(context: dg.AssetExecutionContext, pipeline: Pipeline) -> list[SignalRecord]:
    """Record every hour without a record since the first one, then decide the newest hour; oldest first.

    Not only the hours since the newest record: a dead run's record may lie after hours that nobody decided.
    """
    settings, lake, moment = pipeline.settings(), pipeline.lake(), pipeline.moment()
    first = _first_to_fill(lake, settings, end=moment.decision_time)
    _finish_writing(lake, settings, until=moment.decision_time)
    missed = _record_missed(pipeline, moment, first=first, end=moment.decision_time, run_id=context.run.run_id)
    return [*missed, _decide(context, pipeline, moment)]


def emit_days(
    context: dg.AssetExecutionContext, pipeline: Pipeline, *, first: datetime, end: datetime
) -> list[SignalRecord]:
    """Complete [first, end): decide the newest hour if it lies inside, record hours without a record as missed.

    Returns the records of the range that exist afterwards, oldest first.
    """
    settings, lake, moment = pipeline.settings(), pipeline.lake(), pipeline.moment()
    _record_missed(pipeline, moment, first=first, end=min(end, moment.decision_time), run_id=context.run.run_id)
    if first <= moment.decision_time < end:
        _decide(context, pipeline, moment)
    return list(signal_log(lake, settings).between(first, end, symbol=settings.symbol, phase=settings.phase))


def emit_failed_hour(pipeline: Pipeline, *, run_id: str, started_at: datetime, error: str) -> SignalRecord | None:
    """Write a blocked record (`run_failed`) for the hour of a dead run if it has none; None when it has one.

    Hours before it that nobody decided are recorded first, as a run that reached its end would have done.

    Args:
        started_at: local time at which the run started; a run that died at 12:59 and is noticed at 13:00 is 12:00's.
    """
    settings, lake, moment = pipeline.settings(), pipeline.lake(), pipeline.moment()
    log = signal_log(lake, settings)
    hour = floor_hour(started_at + (moment.now - SystemClock().now()))
    if log.get(hour, symbol=settings.symbol, phase=settings.phase) is not None:
        return None
    _record_missed(pipeline, moment, first=_first_to_fill(lake, settings, end=hour), end=hour, run_id=run_id)
    record = failed_record(
        settings=settings,
        decision_time=hour,
        emitted_at=moment.now,
        detail=error,
        **_origin(lake, settings, run_id=run_id),
    )
    return _write(lake, settings, [record])[0]


def signal_log(lake: Lake, settings: Settings, *, manifest: Manifest | None = None) -> SignalLog:
    """The log of this home."""
    return SignalLog(lake, folder=settings.home / "logs", manifest=manifest)


def run_manifest(
    settings: Settings, lake: Lake, *, now: datetime, fingerprint: str | None = None, model_version: str | None = None
) -> Manifest:
    """The manifest of this process: code, configuration, bundle, packages and table versions."""
    features = features_contract(symbol=settings.symbol, cross_symbols=settings.cross_symbols)
    tables = (*STREAMS.values(), features, CONSENSUS, FORECASTS, SIGNALS)
    return collect_manifest(
        settings,
        now=now,
        provenance=lake.provenance(KLINES),
        versions=table_versions(lake, tables),
        bundle_fingerprint=fingerprint,
        model_version=model_version,
    )


def _decide(context: dg.AssetExecutionContext, pipeline: Pipeline, moment: Moment) -> SignalRecord:
    settings, lake = pipeline.settings(), pipeline.lake()
    record_configuration(
        settings, now=SystemClock().now(), command=f"run of {context.run.job_name}", commit=code_version().commit
    )
    evidence = load_evidence(
        lake,
        settings=settings,
        now=moment.now,
        decision_time=moment.decision_time,
        exchange_reachable=moment.reachable,
        archive_only=moment.archive_only,
        further=risk_reasons(lake, settings, now=moment.decision_time),
    )
    if (stop := halted(evidence.freshness)) is not None:
        pull(settings.home, reason=stop)
    manifest = run_manifest(
        settings,
        lake,
        now=moment.now,
        fingerprint=evidence.model.fingerprint if evidence.model else None,
        model_version=evidence.model.version if evidence.model else None,
    )
    write_manifest(manifest, folder=settings.home)
    context.instance.add_run_tags(context.run.run_id, manifest.run_tags())
    record = decide_hour(
        settings=settings,
        decision_time=moment.decision_time,
        emitted_at=moment.now,
        verdict=evidence.verdict,
        freshness=evidence.freshness,
        snapshot=evidence.snapshot,
        ml=evidence.ml,
        forecast=evidence.forecast,
        model=evidence.model,
        mark_price=evidence.mark_price,
        table_versions=manifest.table_versions,
        held_share=held_share(lake, settings=settings, mark_price=evidence.mark_price),
        funding=evidence.funding,
        volatility_per_hour=evidence.volatility_per_hour,
        past=_past(lake, settings, moment.decision_time),
        **_origin(lake, settings, run_id=context.run.run_id),
    )
    return _write(lake, settings, [record], manifest=manifest)[0]


def _past(lake: Lake, settings: Settings, decision_time: datetime) -> list[PastHour]:
    """The hours whose reasons may still linger."""
    first = decision_time - LOOK_BACK_HOURS * HOUR
    earlier = signal_log(lake, settings).between(first, decision_time, symbol=settings.symbol, phase=settings.phase)
    return [PastHour.of(record) for record in earlier]


def _write(
    lake: Lake, settings: Settings, records: list[SignalRecord], *, manifest: Manifest | None = None
) -> list[SignalRecord]:
    """Write records and the changes of state that they make; the records that stand."""
    standing = list(signal_log(lake, settings, manifest=manifest).write_many(records))
    announce(lake, standing, folder=settings.home / "logs")
    return standing


def _finish_writing(lake: Lake, settings: Settings, *, until: datetime) -> None:
    """Line and announced change of every recent record: a run that died after its record left them out."""
    log = signal_log(lake, settings)
    lived = log.between(until - LOOK_BACK_HOURS * HOUR, until + HOUR, symbol=settings.symbol, phase=settings.phase)
    log.complete_lines(lived)
    announce(lake, lived, folder=settings.home / "logs")


def _first_to_fill(lake: Lake, settings: Settings, *, end: datetime) -> datetime:
    """The first hour before `end` that must have a record: since the oldest one, within a month."""
    oldest = signal_log(lake, settings).oldest(symbol=settings.symbol, phase=settings.phase)
    return end if oldest is None else max(oldest, end - _LONGEST_FILL)


def _record_missed(
    pipeline: Pipeline, moment: Moment, *, first: datetime, end: datetime, run_id: str
) -> list[SignalRecord]:
    """Write `hour_missed` for every hour of [first, end) without a record."""
    settings, lake = pipeline.settings(), pipeline.lake()
    if first >= end:
        return []
    log = signal_log(lake, settings)
    hours = log.hours_without_record(first, end - HOUR, symbol=settings.symbol, phase=settings.phase)
    origin = _origin(lake, settings, run_id=run_id)
    records = [missed_record(settings=settings, decision_time=hour, emitted_at=moment.now, **origin) for hour in hours]
    return _write(lake, settings, records)


def _origin(lake: Lake, settings: Settings, *, run_id: str) -> Origin:
    return Origin(
        provenance=lake.provenance(KLINES),
        run_id=run_id,
        code_commit=code_version().commit,
        config_digest=settings.digest(),
    )
