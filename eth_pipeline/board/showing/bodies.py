"""What the JSON API answers: one model per route, which is also its documentation.

Belongs here: shapes. Does not belong: filling them (`web.api`).

No body carries an age that changes with every second: a client gets 304 until something has happened. Where a figure
needs an instant, that instant is the last full minute and is in the body.
"""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from eth_pipeline.board.reading.standing import Status
from eth_pipeline.contracts.artifact import DataVersions, PromotionDecision, RuntimeContract
from eth_pipeline.contracts.flat_signal import FLAT_SIGNAL
from eth_pipeline.contracts.signal import StreamFreshness
from eth_pipeline.models.figures.report import EvaluationReport
from eth_pipeline.operations.processes import ProcessState
from eth_pipeline.registry.promotions.production import Pointer
from eth_pipeline.registry.promotions.promotion_log import PromotionEntry


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


SIGNAL = FLAT_SIGNAL


class LatestBody(_Body):
    """The signal of this hour, or the plain statement that there is none.

    `signal` is null unless the record is of the hour that runs now, so whoever reads only that acts on no old one.
    """

    status: Status
    statement: str = Field(description="A sentence for people.")
    hour: datetime = Field(description="The hour that runs now.")
    due_at: datetime = Field(description="From here on a missing record of `hour` is overdue.")
    next_hour: datetime = Field(description="When the next signal is decided.")
    may_open: bool = Field(description="The signal is of now, allows opening, and the kill switch is off.")
    kill_switch: str | None = Field(description="Why an operator stopped trading; null while it is off.")
    signal: SIGNAL | None
    last_known: SIGNAL | None = Field(description="The newest record where it is not of now. Do not act on it.")


class SignalsBody(_Body):
    """Records of a span, newest first."""

    first: datetime = Field(alias="from")
    last: datetime = Field(alias="to")
    truncated: bool = Field(description="Older records of the span were left out; ask again with an earlier `to`.")
    hours_without_record: tuple[datetime, ...] = Field(description="Newest first, among the hours that are covered.")
    signals: tuple[SIGNAL, ...]


class StepBody(_Body):
    """One thing behind a signal."""

    name: str
    facts: dict[str, Any]


class LineageBody(_Body):
    """From a signal down to the code that made it."""

    decision_time: datetime
    steps: tuple[StepBody, ...]


class StreamsBody(_Body):
    """Freshness of every stream."""

    measured_at: datetime = Field(description="The last full minute, exchange time.")
    streams: tuple[StreamFreshness, ...]


class PointBody(_Body):
    """The account at the end of an hour."""

    time: datetime
    equity_usdt: float
    drawdown_share: float = Field(le=0, description="Below the highest equity so far.")


class AccountBody(_Body):
    """The paper account; everything is empty before its first event."""

    opened: bool
    figures: dict[str, float | int | str | None]
    curve: tuple[PointBody, ...] = Field(description="Oldest first, thinned to at most 480 points.")


class ModelBody(_Body):
    """The model card: the bundle in use and its papers."""

    in_use: Pointer | None = Field(description="Null where no model was ever brought to this host.")
    files_intact: bool | None
    expired: bool | None
    contract: RuntimeContract | None
    report: EvaluationReport | None
    decision: PromotionDecision | None
    data: DataVersions | None
    promotions: tuple[PromotionEntry, ...] = Field(description="The promotion log, newest first.")
    problems: tuple[str, ...] = Field(description="Where host, bundle and log disagree; empty is good.")


class RaisedBody(_Body):
    """Something that is wrong now."""

    kind: str
    subject: str
    text: str
    severity: str
    raised_at: datetime


class ToldBody(_Body):
    """A message of the past."""

    at: datetime
    title: str
    body: str
    severity: str
    delivered: bool = Field(description="Every target took it.")


class AlertsBody(_Body):
    """What is wrong now, and the newest messages."""

    kept: bool = Field(description="False where no process keeps alerts on this host yet.")
    raised: tuple[RaisedBody, ...]
    told: tuple[ToldBody, ...]
    undelivered: int


class ProcessBody(_Body):
    """A process of this home, and what has changed since it started; null where it does not run."""

    name: str
    state: ProcessState
    statement: str = Field(description="A sentence for people.")
    pid: int | None
    started_at: datetime | None = Field(description="Host time.")
    commit: str | None
    dirty: bool | None
    same_code: bool | None = Field(description="The files of the package are those it started with.")
    same_configuration: bool | None = Field(description="The board has the settings that it started with.")
    same_bundle: bool | None = Field(description="The bundle in use is the one at its start; runs load it anew.")


class ManifestBody(_Body):
    """What the newest run wrote about itself, which processes there are, and how the board is configured."""

    manifest: dict[str, Any] | None = Field(description="Null where no run has written one.")
    board_config_digest: str
    same_configuration: bool | None = Field(description="The newest run and the board have the same settings.")
    processes: tuple[ProcessBody, ...] = Field(description="Started by `up`, a service unit or `eth-pipeline start`.")
    settings: dict[str, Any] = Field(description="The board's own settings; secrets are masked.")


class Problem(_Body):
    """An error, as RFC 9457 says."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    instance: str
