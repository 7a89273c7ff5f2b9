"""`/metrics`: the figures that an alarm system watches, in the Prometheus text format 0.0.4.

Belongs here: names, help texts, the format. Does not belong: reading (`reading.source`).

A figure that cannot be read is absent, and `eth_pipeline_board_part_readable` says so: an alarm on absence works, an
alarm on a 0 that means "unknown" does not. State and action are of the record of this hour, so both are 0 in every
label while there is none.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from eth_pipeline.board.reading.parts import Part, attempt
from eth_pipeline.board.reading.source import BoardSource
from eth_pipeline.board.reading.standing import Standing
from eth_pipeline.contracts.signal import Action, SignalState
from eth_pipeline.trading.performance import Figures

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_PREFIX = "eth_pipeline"


class Sample(NamedTuple):
    """One line: labels and a value."""

    value: float
    labels: Mapping[str, str] = {}


class Gauge(NamedTuple):
    """One metric of kind gauge."""

    name: str
    help: str
    samples: tuple[Sample, ...]


def render_metrics(source: BoardSource) -> str:
    """Every gauge that can be read now."""
    now = source.clock.now()
    parts: dict[str, Part[tuple[Gauge, ...]]] = {
        "signals": attempt(lambda: tuple(_signal(source.standing(now=now), now=now.timestamp()))),
        "streams": attempt(lambda: tuple(_streams(source))),
        "account": attempt(lambda: tuple(_account(source))),
        "alerts": attempt(lambda: tuple(_alerts(source))),
    }
    readable = Gauge(
        "board_part_readable",
        "1 where this part of the home can be read.",
        tuple(Sample(float(part.problem is None), {"part": name}) for name, part in parts.items()),
    )
    gauges = [gauge for part in parts.values() for gauge in part.value or ()]
    return "".join(_lines(gauge) for gauge in (*gauges, readable))


def _signal(standing: Standing, *, now: float) -> Iterable[Gauge]:
    yield Gauge("signal_overdue", "1 while the record of this hour is missing.", (Sample(float(not standing.healthy)),))
    if standing.newest is not None:
        age = now - standing.newest.decision_time.timestamp()
        yield Gauge("signal_age_seconds", "Time since the decision time of the newest record.", (Sample(age),))
    current = standing.signal
    states = tuple(Sample(float(current is not None and current.state is s), {"state": s}) for s in SignalState)
    yield Gauge("signal_state", "1 for the state of this hour's signal.", states)
    actions = tuple(Sample(float(current is not None and current.action is a), {"action": a}) for a in Action)
    yield Gauge("signal_action", "1 for the action of this hour's signal.", actions)
    if current is not None:
        answered = (Sample(float(current.ml.ml_available)),)
        yield Gauge("ml_available", "1 where a verified model answered for this hour.", answered)
        yield Gauge(
            "signal_may_open", "1 where this hour's record allows opening.", (Sample(float(current.allow_open)),)
        )


def _streams(source: BoardSource) -> Iterable[Gauge]:
    rows = source.streams(now=source.clock.now())
    lags = tuple(
        Sample(row.lag_hours, {"stream": row.stream, "symbol": row.symbol}) for row in rows if row.lag_hours is not None
    )
    fresh = tuple(Sample(float(row.fresh), {"stream": row.stream, "symbol": row.symbol}) for row in rows)
    yield Gauge("stream_lag_hours", "Age of the newest row, on data time.", lags)
    yield Gauge("stream_fresh", "1 where the lag is within its limit.", fresh)


def _account(source: BoardSource) -> Iterable[Gauge]:
    account = source.account()
    if account is None:
        return
    yield from _figure(account.figures, "equity_usdt", "equity_usdt", "Equity of the paper account.")
    yield from _figure(account.figures, "position_eth", "position_eth", "Position of the paper account, signed.")
    if account.curve.height:
        depth = Sample(0.0 - account.curve["drawdown_share"][-1])
        yield Gauge("drawdown_share", "Share by which equity is below its peak now.", (depth,))
    yield from _figure(account.figures, "max_drawdown_share", "max_drawdown_share", "Deepest fall from a peak so far.")


def _figure(figures: Figures, key: str, name: str, text: str) -> Iterable[Gauge]:
    value = figures.get(key)
    if isinstance(value, float | int):
        yield Gauge(name, text, (Sample(float(value)),))


def _alerts(source: BoardSource) -> Iterable[Gauge]:
    alerts = source.alerts()
    yield Gauge("alerts_raised", "Conditions that are wrong now and were told.", (Sample(float(len(alerts.raised))),))
    yield Gauge(
        "messages_undelivered", "Messages that some target has not taken.", (Sample(float(alerts.undelivered)),)
    )


def _lines(gauge: Gauge) -> str:
    name = f"{_PREFIX}_{gauge.name}"
    head = f"# HELP {name} {gauge.help}\n# TYPE {name} gauge\n"
    return head + "".join(f"{name}{_labels(sample.labels)} {sample.value!r}\n" for sample in gauge.samples)


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
