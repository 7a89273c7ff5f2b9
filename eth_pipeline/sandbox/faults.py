"""Faults of the embedded exchange, as data: one frozen value per switched-on fault, one table of kinds.

Belongs here: what can go wrong, its parameters, and the pure edits a fault makes to a refusal, to rows or to bytes.
Does not belong: where in an answer they are applied (`view`, `exchange`). A fault without `streams` hits every
stream, without `symbols` every symbol, without `only` both doors (`rest` and `archive`).
"""

import dataclasses
import itertools
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

import polars as pl

from eth_pipeline.contracts.clock import iso, parse_instant, require_utc, to_milliseconds
from eth_pipeline.errors import SettingsInvalid

Door = Literal["rest", "archive"]
Stage = Literal["answer", "horizon", "rows", "page", "body", "time", "labels"]


@dataclass(frozen=True)
class FaultKind:
    """One row of the table of kinds: where it acts, what it does, which parameters it reads beyond the selectors."""

    stage: Stage
    says: str
    parameters: tuple[str, ...] = ()
    required: tuple[str, ...] = ()


KINDS: dict[str, FaultKind] = {
    "server_error": FaultKind("answer", "answers 5xx `count` times, or until cleared", ("count", "status")),
    "rate_limited": FaultKind("answer", "answers 429 with Retry-After", ("count", "retry_after_seconds")),
    "banned": FaultKind("answer", "answers 418 with Retry-After", ("count", "retry_after_seconds")),
    "region_restricted": FaultKind("answer", "answers 451, REST only unless `only` says otherwise", ("count",)),
    "delay": FaultKind("answer", "waits `seconds` of real time before it answers", ("count", "seconds"), ("seconds",)),
    "stale": FaultKind("horizon", "nothing after `since` (default now) is published while /time goes on", ("since",)),
    "late_bar": FaultKind("horizon", "a bar keeps changing for `seconds` after its close (REST)", ("seconds",)),
    "unfinished": FaultKind("rows", "the open bar carries a closeTime one millisecond ago, so it looks closed (REST)"),
    "gap": FaultKind("rows", "rows in [since, until) do not exist", ("since", "until"), ("since", "until")),
    "duplicate": FaultKind("rows", "the last `rows` rows come twice", ("rows",)),
    "zero_open_interest": FaultKind("rows", "open interest in [since, until) is 0", ("since", "until")),
    "partial_page": FaultKind("page", "the last `rows` rows of a page are missing, without a sign", ("count", "rows")),
    "truncated_body": FaultKind("body", "the connection closes after half of the body", ("count",)),
    "wrong_checksum": FaultKind("body", "the .CHECKSUM names another sha256 than the zip has", ("count",)),
    "corrupt_zip": FaultKind("body", "the zip is broken and its .CHECKSUM agrees with the broken bytes"),
    "clock_skew": FaultKind("time", "/time is `seconds` ahead of the exchange's own clock", ("seconds",), ("seconds",)),
    "label_flip": FaultKind("labels", "metrics files use the other label convention (START for END, END for START)"),
}


@dataclass(frozen=True)
class Fault:
    """A switched-on fault. Instants are virtual, `seconds` of `delay` real; `count` is how many answers it spoils."""

    kind: str
    streams: frozenset[str] = frozenset()
    symbols: frozenset[str] = frozenset()
    only: Door | None = None
    since: datetime | None = None
    until: datetime | None = None
    count: int | None = None
    status: int = 503
    retry_after_seconds: int = 30
    seconds: float = 60.0
    rows: int = 1
    number: int = 0

    def hits(self, *, door: Door, stream: str, symbol: str | None) -> bool:
        """Whether this fault concerns a request for `stream` of `symbol` at `door`."""
        return (
            (self.only is None or self.only == door)
            and (not self.streams or stream in self.streams)
            and (not self.symbols or symbol in self.symbols)
        )

    def within(self, column: str) -> pl.Expr:
        """Rows whose `column` (epoch milliseconds) is in [since, until); an open side is unbounded."""
        inside = pl.lit(True)
        if self.since is not None:
            inside = inside & (pl.col(column) >= to_milliseconds(self.since))
        if self.until is not None:
            inside = inside & (pl.col(column) < to_milliseconds(self.until))
        return inside

    def as_json(self) -> dict[str, Any]:
        """Plain values, for the control endpoint."""
        kind = KINDS[self.kind]
        chosen = {name: getattr(self, name) for name in kind.parameters}
        selectors = {"streams": sorted(self.streams), "symbols": sorted(self.symbols), "only": self.only}
        plain = {name: iso(value) if isinstance(value, datetime) else value for name, value in chosen.items()}
        return {"number": self.number, "kind": self.kind, "says": kind.says, **selectors, **plain}


@dataclass(frozen=True)
class Refusal:
    """What the exchange says instead of an answer."""

    status: int
    code: int
    message: str
    retry_after_seconds: int | None = None


REFUSALS: dict[str, Callable[[Fault], Refusal]] = {
    "server_error": lambda fault: Refusal(fault.status, -1000, "An unknown error occurred while processing."),
    "rate_limited": lambda fault: Refusal(429, -1003, "Too many requests.", fault.retry_after_seconds),
    "banned": lambda fault: Refusal(418, -1003, "Way too many requests; IP banned.", fault.retry_after_seconds),
    "region_restricted": lambda _: Refusal(451, 0, "Service unavailable from a restricted location."),
}

ROW_EDITS: dict[str, Callable[[Fault, pl.DataFrame, str], pl.DataFrame]] = {
    "gap": lambda fault, frame, time: frame.filter(~fault.within(time)),
    "duplicate": lambda fault, frame, time: pl.concat([frame, frame.tail(fault.rows)]).sort(time, maintain_order=True),
    "zero_open_interest": lambda fault, frame, time: frame.with_columns(
        pl.when(~fault.within(time)).then(pl.col(name)).otherwise(0.0).alias(name)
        for name in ("open_interest", "open_interest_value")
        if name in frame.columns
    ),
}


_INSTANTS = ("since", "until")


class FaultBoard:
    """The faults that are switched on now; shared by the server thread and whoever controls it."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._faults: dict[int, Fault] = {}
        self._left: dict[int, int] = {}
        self.generation = 0

    def switch_on(
        self, kind: str, *, streams: Iterable[str] = (), symbols: Iterable[str] = (), **parameters: Any
    ) -> Fault:
        """Switch a fault on and return it; `FaultBoard.clear` takes its `number`.

        Args:
            kind: A key of `KINDS`.
            streams: Streams it hits; none means all.
            symbols: Symbols it hits; none means all.
            parameters: `only` and those the kind reads; instants may be ISO text.

        Raises:
            SettingsInvalid: unknown kind, or a parameter the kind does not read or needs.
        """
        spec = KINDS.get(kind)
        if spec is None:
            raise SettingsInvalid(f"no fault is called {kind!r}. Choose one of: {', '.join(sorted(KINDS))}.")
        given = {name: value for name, value in parameters.items() if value is not None}
        unread = set(given) - set(spec.parameters) - {"only"}
        missing = set(spec.required) - set(given)
        if unread or missing or given.get("only", "rest") not in get_args(Door):
            raise SettingsInvalid(
                f"fault {kind!r} ({spec.says}) reads {spec.parameters} and `only` (rest or archive); "
                f"not read: {sorted(unread)}, missing: {sorted(missing)}. Correct the call."
            )
        if kind == "stale":
            given.setdefault("since", self._now())
        only = given.pop("only", "rest" if kind == "region_restricted" else None)
        values: dict[str, Any] = {
            name: _instant(value) if name in _INSTANTS else value for name, value in given.items()
        }
        with self._lock:
            number = next(self._numbers)
            fault = Fault(kind, _names(streams), _names(symbols), only, number=number, **values)
            self._faults[fault.number] = fault
            if fault.count is not None:
                self._left[fault.number] = fault.count
            self.generation += 1
        return fault

    def clear(self, number: int | None = None) -> None:
        """Switch off the fault of `number`, or all."""
        with self._lock:
            for gone in list(self._faults) if number is None else [number]:
                self._faults.pop(gone, None)
                self._left.pop(gone, None)
            self.generation += 1

    def on(self) -> tuple[Fault, ...]:
        """All faults that are switched on, oldest first."""
        with self._lock:
            return tuple(self._faults.values())

    def hitting(self, stage: Stage, *, door: Door, stream: str, symbol: str | None) -> tuple[Fault, ...]:
        """Faults of `stage` that concern a request."""
        return tuple(
            fault
            for fault in self.on()
            if KINDS[fault.kind].stage == stage and fault.hits(door=door, stream=stream, symbol=symbol)
        )

    def spend(self, fault: Fault) -> bool:
        """Use one of the fault's `count` answers; False where none is left. A fault without count never ends."""
        with self._lock:
            if fault.number not in self._faults:
                return False
            if fault.count is None:
                return True
            self._left[fault.number] -= 1
            if self._left[fault.number] <= 0:
                del self._faults[fault.number], self._left[fault.number]
            return True


def fault_from_json(body: dict[str, Any]) -> dict[str, Any]:
    """Arguments of `FaultBoard.switch_on` from a control request's body.

    Raises:
        SettingsInvalid: a key that no fault has, or no kind.
    """
    known = {field.name for field in dataclasses.fields(Fault)} - {"number"}
    if "kind" not in body or set(body) - known:
        raise SettingsInvalid(f"a fault needs `kind` and may have {sorted(known - {'kind'})}; sent: {sorted(body)}.")
    return body


def _names(values: Iterable[str]) -> frozenset[str]:
    return frozenset((values,) if isinstance(values, str) else values)


def _instant(value: datetime | str) -> datetime:
    return parse_instant(value) if isinstance(value, str) else require_utc(value)
