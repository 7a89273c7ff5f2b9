"""The JSON API below `/api/v1`: what the pages show, for programs.

Belongs here: routes, parameters, filling the bodies. Does not belong: reading (`reading.source`), who may ask (`door`),
ETags and headers (`answers`).
"""

import re
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Query
from pydantic import BeforeValidator

from eth_pipeline.board.reading.source import BoardSource
from eth_pipeline.board.showing.bodies import (
    SIGNAL,
    AccountBody,
    AlertsBody,
    LatestBody,
    LineageBody,
    ManifestBody,
    ModelBody,
    ProcessBody,
    SignalsBody,
    StepBody,
    StreamsBody,
)
from eth_pipeline.board.web.problems import documented
from eth_pipeline.contracts.artifact import expired
from eth_pipeline.contracts.clock import iso, parse_instant
from eth_pipeline.contracts.signal import SignalRecord

PREFIX = "/api/v1"
DEFAULT_SPAN = timedelta(days=7)
DEFAULT_RECORDS = 168
MAX_RECORDS = 1000
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", re.ASCII)


def instant(text: object) -> datetime:
    """An instant of RFC 3339, in UTC.

    Raises:
        ValueError: it is none, or not in the years 1 to 9999 once it is in UTC.
    """
    if not isinstance(text, str) or _RFC_3339.fullmatch(text) is None:
        raise ValueError("write an instant with its offset, for example 2025-06-29T12:00:00Z")
    try:
        return parse_instant(text)
    except OverflowError as error:
        raise ValueError("that instant is outside the calendar") from error


Instant = Annotated[datetime, BeforeValidator(instant)]
Hour = Annotated[Instant, Path(description="The full hour, RFC 3339, for example 2025-06-29T12:00:00Z.")]


def make_api(source: BoardSource) -> APIRouter:
    """The routes, answering from `source`."""
    router = APIRouter(prefix=PREFIX)

    @router.get("/signals/latest", response_model=LatestBody, responses=documented(), tags=["signals"])
    def latest() -> LatestBody:
        """The signal of this hour; its record only while it is of now."""
        standing, switch = source.standing(now=source.clock.now()), source.kill_switch()
        return LatestBody(
            status=standing.status,
            statement=standing.statement,
            hour=standing.hour,
            due_at=standing.due_at,
            next_hour=standing.next_hour,
            may_open=standing.signal is not None and standing.signal.allow_open and switch is None,
            kill_switch=switch,
            signal=None if standing.signal is None else _flat(standing.signal),
            last_known=None if standing.last_known is None else _flat(standing.last_known),
        )

    @router.get("/signals", response_model=SignalsBody, responses=documented(422), tags=["signals"])
    def signals(
        first: Annotated[Instant | None, Query(alias="from", description="First hour; 7 days before `to`.")] = None,
        last: Annotated[Instant | None, Query(alias="to", description="Last hour, included; now by default.")] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_RECORDS, description="The newest so many.")] = DEFAULT_RECORDS,
    ) -> SignalsBody:
        """Records of a span, newest first, and the hours that have none."""
        now = source.clock.now()
        end = last or now.replace(second=0, microsecond=0)
        begin = first or _earlier(end)
        if begin > end:
            raise HTTPException(422, f"`from` is {iso(begin)}, after `to`, {iso(end)}. Exchange them.")
        found = source.span(begin, end, limit=limit, now=now)
        return SignalsBody(
            first=begin,
            last=end,
            truncated=found.truncated,
            hours_without_record=found.holes,
            signals=tuple(_flat(record) for record in found.records),
        )

    @router.get("/signals/{hour}", response_model=SIGNAL, responses=documented(404, 422), tags=["signals"])
    def signal(hour: Hour) -> object:
        """The record of one hour, as it was decided; an old one is history and nothing to act on."""
        return _flat(_required(source, hour))

    @router.get("/signals/{hour}/lineage", response_model=LineageBody, responses=documented(404, 422), tags=["signals"])
    def lineage(hour: Hour) -> LineageBody:
        """What made the record: forecast, features, bars, model, promotion, code and run."""
        record = _required(source, hour)
        steps = tuple(StepBody(name=step.name, facts=step.facts) for step in source.lineage(record))
        return LineageBody(decision_time=record.decision_time, steps=steps)

    @router.get("/streams", response_model=StreamsBody, responses=documented(), tags=["state"])
    def streams() -> StreamsBody:
        """How old the newest row of every stream is, on data time."""
        minute = source.clock.now().replace(second=0, microsecond=0)
        return StreamsBody(measured_at=minute, streams=source.streams(now=minute))

    @router.get("/account", response_model=AccountBody, responses=documented(), tags=["state"])
    def account() -> AccountBody:
        """The paper account and its curve."""
        found = source.account()
        if found is None:
            return AccountBody(opened=False, figures={}, curve=())
        return AccountBody(opened=True, figures=found.figures, curve=tuple(found.curve.to_dicts()))

    @router.get("/model", response_model=ModelBody, responses=documented(), tags=["state"])
    def model() -> ModelBody:
        """The model in use, what it scored out of sample, and why it was promoted."""
        card = source.model()
        return ModelBody(
            in_use=card.pointer,
            files_intact=card.intact,
            expired=None if card.contract is None else expired(card.contract, now=source.clock.now()),
            contract=card.contract,
            report=card.report,
            decision=card.decision,
            data=card.data,
            promotions=card.promotions,
            problems=card.problems,
        )

    @router.get("/alerts", response_model=AlertsBody, responses=documented(), tags=["state"])
    def alerts() -> AlertsBody:
        """What is wrong now, and what was told."""
        return AlertsBody.model_validate(asdict(source.alerts()))

    @router.get("/manifest", response_model=ManifestBody, responses=documented(), tags=["state"])
    def manifest() -> ManifestBody:
        """Code, configuration, packages and data versions of the newest run; since when which process runs."""
        found, digest = source.manifest(), source.settings.digest()
        return ManifestBody(
            manifest=found,
            board_config_digest=digest,
            same_configuration=None if found is None else found.get("config_digest") == digest,
            processes=tuple(ProcessBody(**asdict(process)) for process in source.processes()),
            settings=source.settings.masked(),
        )

    return router


def _flat(record: SignalRecord) -> object:
    return SIGNAL.model_validate(record.flat())


def _required(source: BoardSource, hour: datetime) -> SignalRecord:
    record = source.record(hour)
    if record is None:
        symbol, phase = source.settings.symbol, source.settings.phase
        raise HTTPException(404, f"There is no record of {iso(hour)} for {symbol} in phase {phase}.")
    return record


def _earlier(end: datetime) -> datetime:
    try:
        return end - DEFAULT_SPAN
    except OverflowError:
        return end
