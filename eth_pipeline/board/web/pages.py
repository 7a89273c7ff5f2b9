"""The pages: one for now, one for the last seven days, one per hour.

Belongs here: which facts a page gets. Does not belong: reading them (`reading.source`), layout (`showing`), the JSON
API (`api`).
"""

from datetime import datetime, timedelta

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from eth_pipeline.board.reading.parts import PartUnreadable, attempt
from eth_pipeline.board.reading.source import BoardSource
from eth_pipeline.board.showing.drawn import draw_account, horizon_rows, timeframe_rows
from eth_pipeline.board.showing.metrics import CONTENT_TYPE, render_metrics
from eth_pipeline.board.showing.templating import page
from eth_pipeline.board.web.api import DEFAULT_RECORDS, DEFAULT_SPAN, instant
from eth_pipeline.board.web.door import HEALTH, METRICS, Sessions
from eth_pipeline.board.web.problems import problem
from eth_pipeline.contracts.artifact import expired
from eth_pipeline.contracts.clock import HOUR, parse_instant
from eth_pipeline.contracts.wording import said
from eth_pipeline.contracts.wording.alerts import ALERTS
from eth_pipeline.contracts.wording.board import STANDING_UNREADABLE
from eth_pipeline.contracts.wording.reasons import REASONS

_OLD = 2 * HOUR


def make_pages(source: BoardSource, *, sessions: Sessions) -> APIRouter:
    """The routes for people, for alarm systems and for load balancers."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    def now_page(request: Request) -> Response:
        """Everything about now."""
        now = source.clock.now()
        account, model, manifest = attempt(source.account), attempt(source.model), attempt(source.manifest)
        contract = model.value.contract if model.value else None
        facts = {
            "streams": attempt(lambda: source.streams(now=now)),
            "account": account,
            "drawing": draw_account(account.value) if account.value else None,
            "account_behind": _behind(account.value.figures["processed_until"] if account.value else None, now),
            "model": model,
            "model_expired": contract is not None and expired(contract, now=now),
            "alerts": attempt(source.alerts),
            "manifest": manifest,
            "processes": attempt(source.processes),
            "manifest_behind": _behind(manifest.value.get("written_at") if manifest.value else None, now),
            "board_digest": source.settings.digest(),
            "masked": source.settings.masked(),
        }
        return page(request, "now.html", _frame(now, source, sessions, here="now") | facts)

    @router.get("/signals")
    def week_page(request: Request) -> Response:
        """The last seven days, hour by hour, missing hours included."""
        now = source.clock.now()
        found = attempt(lambda: source.span(now - DEFAULT_SPAN, now, limit=DEFAULT_RECORDS, now=now))
        hours: dict[datetime, object] = {}
        if found.value:
            hours = {record.decision_time: record for record in found.value.records}
            hours |= dict.fromkeys(found.value.holes)
        rows = sorted(hours.items(), reverse=True)
        return page(request, "week.html", _frame(now, source, sessions, here="week") | {"found": found, "rows": rows})

    @router.get("/signals/{hour}")
    def hour_page(request: Request, hour: str) -> Response:
        """One record and what made it."""
        try:
            wanted = instant(hour)
        except ValueError as error:
            return problem(request, 422, f"{hour!r} is no hour: {error}.")
        try:
            record = source.record(wanted)
        except PartUnreadable as error:
            return problem(request, 503, str(error))
        if record is None:
            return problem(request, 404, f"There is no record of {hour}.")
        facts = {
            "record": record,
            "horizons": horizon_rows(record.ml),
            "timeframes": timeframe_rows(record),
            "lineage": attempt(lambda: source.lineage(record)),
        }
        return page(request, "hour.html", _frame(source.clock.now(), source, sessions, here="hour") | facts)

    @router.get(METRICS)
    def metrics() -> Response:
        """Gauges for Prometheus."""
        return PlainTextResponse(render_metrics(source), media_type=CONTENT_TYPE)

    @router.get(HEALTH)
    def health() -> Response:
        """200 while no record is late; open to everybody, so it says no more than that: a code, and why for people."""
        language = source.settings.language
        try:
            standing = source.standing(now=source.clock.now())
        except PartUnreadable:
            return PlainTextResponse(f"unreadable: {said(STANDING_UNREADABLE(), language)}\n", status_code=503)
        statement = said(standing.statement, language)
        return PlainTextResponse(f"{standing.status}: {statement}\n", 200 if standing.healthy else 503)

    return router


def _frame(now: datetime, source: BoardSource, sessions: Sessions, *, here: str) -> dict[str, object]:
    """What every page has: the time, the verdict on the newest record, the kill switch."""
    standing = attempt(lambda: source.standing(now=now))
    record = standing.value.signal if standing.value else None
    return {
        "now": now,
        "here": here,
        "settings": source.settings,
        "can_leave": sessions.asks,
        "standing": standing,
        "kill_switch": attempt(source.kill_switch),
        "current": record,
        "current_horizons": horizon_rows(record.ml) if record else (),
        "current_timeframes": timeframe_rows(record) if record else (),
        "explanations": REASONS,
        "alert_words": ALERTS,
    }


def _behind(text: object, now: datetime) -> timedelta | None:
    """Age of what was written at an instant, where it is too old for an hourly run to have written it."""
    try:
        age = now - parse_instant(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return age if age is not None and age >= _OLD else None
