"""Decisions of a span of past hours, by the code that decides one hour.

Belongs here: walking the hours with what was known at each. Does not belong: deciding (`hourly`), making the inputs at
once for the whole span (`signals.technical.consensus_history`, `historical_inputs`), the account (`trading`), storing.

What costs time is computed for all hours beforehand; the walk itself calls `decide_hour`, so a rebuilt record is the
record of the hour. It is a generator: between two hours the caller may move the account on, and `held_share` then
answers with what that account holds.

Freshness cannot be rebuilt: an archive does not say when a row reached this host. Every expected stream is taken as
fresh, lag 0, door `archive`. What was really absent is still seen: by the consensus (no closed bar at the hour), by
the feature row and its coverage, and by the gap ledger. The kill switch and the exchange's reachability are taken as
they should be, too: a rebuild says what the strategy would have done, not what the host did.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise

from eth_pipeline.contracts.clock import HOUR
from eth_pipeline.contracts.quality import DataGap
from eth_pipeline.contracts.signal import ConsensusSnapshot, Reason, ReasonCode, SignalRecord, StreamFreshness
from eth_pipeline.contracts.tables import STREAMS
from eth_pipeline.contracts.wording.forecasts import ANSWERED
from eth_pipeline.settings import Settings
from eth_pipeline.signals.forecasting.forecast import Forecast, ModelInfo
from eth_pipeline.signals.gating.freshness import expected_symbols
from eth_pipeline.signals.gating.gate import MlAvailability, evaluate_gate
from eth_pipeline.signals.gating.states import LOOK_BACK_HOURS, PastHour
from eth_pipeline.signals.hourly import decide_hour
from eth_pipeline.signals.sizing.funding import FundingOutlook
from eth_pipeline.signals.technical.consensus import build_consensus


@dataclass(frozen=True)
class HistoricalInputs:
    """What was known at each past hour, by decision time; an hour that a mapping lacks had none of it.

    Attributes:
        consensus: see `consensus_history`.
        forecasts: the model that could have existed then, and its answer; see `historical_inputs.vintage_forecasts`.
        coverage: of the hour's feature row.
        mark_prices: mark close at the hour, USDT per coin.
        funding: see `funding.funding_outlooks`.
        gaps: see `historical_inputs.ledger_gaps`; an hour it lacks is without doubts.
        volatility: of one-hour log returns over the last day, from the hour's feature row.
        freshness: as it was measured, where it was; an hour it lacks counts as fresh (`assumed_fresh`).
    """

    consensus: Mapping[datetime, ConsensusSnapshot]
    forecasts: Mapping[datetime, tuple[ModelInfo, Forecast]]
    coverage: Mapping[datetime, float]
    mark_prices: Mapping[datetime, float]
    funding: Mapping[datetime, FundingOutlook | None] = field(default_factory=dict)
    gaps: Mapping[datetime, tuple[DataGap, ...]] = field(default_factory=dict)
    freshness: Mapping[datetime, tuple[StreamFreshness, ...]] = field(default_factory=dict)
    volatility: Mapping[datetime, float] = field(default_factory=dict)


def decide_history(
    inputs: HistoricalInputs,
    *,
    settings: Settings,
    decision_times: Sequence[datetime],
    provenance: str,
    run_id: str,
    code_commit: str,
    config_digest: str,
    table_versions: Mapping[str, int],
    held_share: Callable[[datetime], float | None] = lambda _: None,
    further: Callable[[datetime], Sequence[Reason]] = lambda _: (),
    past: Sequence[PastHour] = (),
    emitted_after: timedelta = timedelta(0),
) -> Iterator[SignalRecord]:
    """One record per hour, oldest first, as `decide_hour` makes it from the same inputs.

    Args:
        inputs: what was known at each hour.
        settings: phase, symbol, signal and account settings.
        decision_times: full hours, ascending.
        provenance, run_id, code_commit, config_digest, table_versions: origin of every record.
        held_share: signed share of equity held at an hour; asked after the record before it was taken.
        further: reasons found elsewhere, such as the account's risk limits at an hour; asked like `held_share`.
        past: recorded hours before the first one.
        emitted_after: how long after its hour a record counts as emitted; below one hour, or it would be no order.

    Raises:
        ValueError: times that do not ascend, or that are no full hours.
    """
    if any(later <= earlier for earlier, later in pairwise(decision_times)):
        raise ValueError("The hours do not ascend; an hour's state depends on those before it. Sort them, each once.")
    recent = list(past)
    streams = assumed_fresh(settings, decision_time=decision_times[0]) if decision_times else ()
    for time in decision_times:
        freshness = inputs.freshness.get(time) or _moved(streams, time)
        snapshot = inputs.consensus.get(time) or build_consensus((), settings=settings.signals)
        model, forecast = inputs.forecasts.get(time, (None, None))
        ml = _availability(model)
        record = decide_hour(
            settings=settings,
            decision_time=time,
            emitted_at=time + emitted_after,
            verdict=evaluate_gate(
                freshness=freshness,
                exchange_reachable=True,
                features_present=time in inputs.coverage,
                feature_coverage=inputs.coverage.get(time),
                consensus_coverage=snapshot.coverage,
                ml=ml,
                settings=settings,
                phase=settings.phase,
                kill_switch=None,
                gaps=inputs.gaps.get(time, ()),
                further=further(time),
            ),
            freshness=freshness,
            snapshot=snapshot,
            ml=ml,
            forecast=forecast,
            model=model,
            mark_price=inputs.mark_prices.get(time),
            provenance=provenance,
            run_id=run_id,
            code_commit=code_commit,
            config_digest=config_digest,
            table_versions=table_versions,
            held_share=held_share(time),
            funding=inputs.funding.get(time),
            past=recent,
            volatility_per_hour=inputs.volatility.get(time),
        )
        recent = [*recent[-LOOK_BACK_HOURS:], PastHour.of(record)]
        yield record


def assumed_fresh(settings: Settings, *, decision_time: datetime) -> tuple[StreamFreshness, ...]:
    """Every expected stream as fresh as can be at `decision_time`."""
    found = []
    for stream in STREAMS:
        for symbol in expected_symbols(stream, settings=settings):
            limits = settings.freshness.limits(stream, is_main_symbol=symbol == settings.symbol)
            found.append(
                StreamFreshness(
                    stream=stream,
                    symbol=symbol,
                    newest_available_at=decision_time,
                    lag_hours=0.0,
                    max_lag_hours=limits.max_lag_hours,
                    stale_policy=limits.stale_policy,
                    freshness_source="archive",
                    fresh=True,
                )
            )
    return tuple(found)


def _moved(streams: tuple[StreamFreshness, ...], decision_time: datetime) -> tuple[StreamFreshness, ...]:
    """`assumed_fresh` of another hour, without validating two dozen streams again."""
    return tuple(item.model_copy(update={"newest_available_at": decision_time}) for item in streams)


def hours_between(first: datetime, end: datetime) -> tuple[datetime, ...]:
    """Full hours of [first, end)."""
    return tuple(first + n * HOUR for n in range(-((first - end) // HOUR)))


def _availability(model: ModelInfo | None) -> MlAvailability:
    if model is None:
        return MlAvailability(False, ReasonCode.BUNDLE_ABSENT, "no model of its time forecast this hour")
    return MlAvailability(True, None, ANSWERED(version=model.version))
