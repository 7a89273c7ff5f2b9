"""Latency of an hour: from the close of its bar to the signal that can be read, and what it consists of.

    python benchmarks/hour.py [hours=36] [warm=4]

The in-process hourly job on the embedded exchange, four symbols, a promoted model, a home in a temporary folder. The
bar is closed when the run begins, so the schedule's own delay (a tick, a queue, a process) is not in it; the last line
shows what a process of its own adds. An instant belongs to exactly one part, so the parts add up to the whole:

    dagster start   from the order to the first step
    exchange        from a request to its answer, the embedded exchange's work in this process included
    fetch           the rest of the stream steps: what to ask for, parsing, gap ledger
    store           commits of the lake, whichever step makes them
    features        the newest rows
    forecast        consensus, forecast, shadow
    decision        freshness checks, gate, account, the signal's evidence
    write           the commit of the signal
    rest            Dagster between the steps

Our own code is all of it but Dagster and the exchange's answers, which until 2026-11-23 counted as fetching.

A signal can be read when its commit returns. What the run does after that (its line, its checks and its page in the UI)
is shown beside it.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import dagster as dg
import numpy as np
from polars.lazyframe.engine import _LocalEngine

from benchmarks.figure import at_most, compared, print_figure
from eth_pipeline.contracts.clock import HOUR
from eth_pipeline.contracts.decision_tables import SIGNALS
from eth_pipeline.contracts.table import TableContract
from eth_pipeline.contracts.tables import STREAMS
from eth_pipeline.defs.instance import open_instance
from eth_pipeline.defs.resources import exchange_state
from eth_pipeline.exchange.http.wire import Wire
from eth_pipeline.lake import Lake
from eth_pipeline.soak.host_clock import let_pass
from eth_pipeline_tests.promoted_home import PromotedHome, promoted_home, promoted_market
from eth_pipeline_tests.small_home import QUIET

SYMBOLS = ("ETHUSDT", "BTCUSDT", "SOLUSDT", "BNBUSDT")
PARTS = ("dagster start", "exchange", "fetch", "store", "features", "forecast", "decision", "write", "rest")
OURS = ("fetch", "store", "features", "forecast", "decision", "write")
STEP_PARTS = {
    **dict.fromkeys(STREAMS, "fetch"),
    "features": "features",
    **dict.fromkeys(("consensus", "forecast", "shadow_forecast"), "forecast"),
}
REVIEWED_SECONDS, REVIEWED_CONSENSUS_SECONDS = 5.4, 11.3
"""One hourly decision of the reviewed system, one timeframe and with consensus, measured on two cores."""

WHOLE_ASKED_SECONDS, OURS_ASKED_SECONDS = 6.0, 1.0

EXCHANGE = "the exchange's answers"
Span = tuple[float, float, str]


class Stopwatch:
    """Spans of the lake's commits, each with the table's name, and of requests to the exchange; polars' queries."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.queries = 0
        commit, request, collect = Lake.upsert, Wire.get, _LocalEngine.collect

        def committed(lake: Lake, table: TableContract, *rest: Any, **named: Any) -> Any:
            with self._span(table.name):
                return commit(lake, table, *rest, **named)

        def answered(wire: Wire, *asked: Any, **named: Any) -> Any:
            with self._span(EXCHANGE):
                return request(wire, *asked, **named)

        def collected(engine: _LocalEngine, *asked: Any, **named: Any) -> Any:
            self.queries += 1  # nearly every step on a frame is one, also what is not written as a query
            return collect(engine, *asked, **named)

        Lake.upsert, Wire.get = committed, answered  # type: ignore[method-assign]  # this process measures
        _LocalEngine.collect = collected  # type: ignore[method-assign, assignment]

    @contextmanager
    def _span(self, name: str) -> Iterator[None]:
        began = time.time()
        try:
            yield
        finally:
            self.spans.append((began, time.time(), name))


def main(hours: int, warm: int) -> int:
    watch = Stopwatch()
    with tempfile.TemporaryDirectory() as folder, promoted_home(Path(folder), market=promoted_market(SYMBOLS)) as home:
        with open_instance(home.settings) as instance:
            lived = [one_hour(home, instance, watch) for _ in range(hours)]
        measured = lived[warm:]
        if not all(hour["state"] for hour in measured):
            print("an hour failed", file=sys.stderr)
            return 1
        show(measured)
        print(f"a process of its own (python -m dagster job execute): {a_cold_hour(home):.1f} s from start to exit")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB, the exchange included")
    return 0


def one_hour(home: PromotedHome, instance: dg.DagsterInstance, watch: Stopwatch) -> dict[str, Any]:
    """Let an hour pass and decide it; seconds of every part, of the whole, of the tail, and CPU."""
    from eth_pipeline.definitions import defs

    pass_an_hour(home)
    watch.spans.clear()
    watch.queries = 0
    busy, began = time.process_time(), time.time()
    job = defs.resolve_job_def("hourly")
    result = job.execute_in_process(instance=instance, raise_on_error=False, run_config=QUIET)
    ended, cpu = time.time(), time.process_time() - busy
    visible = max((end for _, end, table in watch.spans if table == SIGNALS.name), default=ended)
    steps = list(step_spans(instance, result.run_id))
    parts = split(began, visible, steps, watch.spans)
    state = result.success and abs(sum(parts.values()) - (visible - began)) < 1e-6
    return {
        "parts": parts,
        "whole": visible - began,
        "after": ended - visible,
        "cpu": cpu,
        "queries": watch.queries,
        "state": state,
    }


def pass_an_hour(home: PromotedHome) -> None:
    home.sandbox.clock.advance(HOUR)
    home.sandbox.restart_limits()
    let_pass(exchange_state(home.settings), seconds=HOUR.total_seconds())


def step_spans(instance: dg.DagsterInstance, run_id: str) -> Iterator[Span]:
    """Each step from its start to its last word, from the run's own events."""
    began: dict[str, float] = {}
    over = {dg.DagsterEventType.STEP_OUTPUT, dg.DagsterEventType.STEP_FAILURE}
    for entry in instance.all_logs(run_id):
        if entry.step_key is None or entry.dagster_event is None:
            continue
        kind = entry.dagster_event.event_type
        if kind == dg.DagsterEventType.STEP_START:
            began[entry.step_key] = entry.timestamp
        elif kind in over and entry.step_key in began:
            yield began.pop(entry.step_key), entry.timestamp, entry.step_key


def split(began: float, visible: float, steps: list[Span], timed: list[Span]) -> dict[str, float]:
    """Seconds of every part between two instants; a commit or a request counts as one, in whichever step it lies."""
    first = min((start for start, _, _ in steps), default=visible)
    edges = sorted({began, visible, *(t for s, e, _ in (*steps, *timed) for t in (s, e) if began < t < visible)})
    parts = dict.fromkeys(PARTS, 0.0)
    for start, end in pairwise(edges):
        middle = (start + end) / 2
        watched = next((name for s, e, name in timed if s <= middle < e), None)
        step = next((key for s, e, key in steps if s <= middle < e), None)
        if watched is not None:
            name = {SIGNALS.name: "write", EXCHANGE: "exchange"}.get(watched, "store")
        elif step is not None:
            name = STEP_PARTS.get(step, "decision")
        else:
            name = "dagster start" if middle < first else "rest"
        parts[name] += end - start
    return parts


def show(hours: list[dict[str, Any]]) -> None:
    print(f"{len(hours)} warm hours, {os.cpu_count()} cores; seconds from the order to the stored signal")
    print(f"{'part':<16}{'p50':>8}{'p99':>8}{'mean':>8}")
    for name in PARTS:
        row(name, [hour["parts"][name] for hour in hours])
    row("whole", [hour["whole"] for hour in hours])
    row("our own code", [sum(hour["parts"][name] for name in OURS) for hour in hours])
    row("after it", [hour["after"] for hour in hours])
    row("CPU of the run", [hour["cpu"] for hour in hours])
    p50 = np.median([hour["whole"] for hour in hours])
    print(
        f"the reviewed system: {REVIEWED_SECONDS} s of computing, {REVIEWED_CONSENSUS_SECONDS} s with consensus; "
        f"{REVIEWED_CONSENSUS_SECONDS / p50:.1f} times the whole above"
    )
    ours = np.median([sum(hour["parts"][name] for name in OURS) for hour in hours])
    print_figure("an hour, close to signal, p50", float(p50), "s", at_most(WHOLE_ASKED_SECONDS))
    print_figure("of it our own code, p50", float(ours), "s", at_most(OURS_ASKED_SECONDS))
    waited = float(np.median([hour["parts"]["exchange"] for hour in hours]))
    print_figure("of it the exchange's answers, p50", waited, "s")
    cpu = float(np.median([hour["cpu"] for hour in hours]))
    print_figure(
        "polars queries of an hour's run, p50", float(np.median([hour["queries"] for hour in hours])), "queries"
    )
    print_figure("CPU of an hour's run", cpu, "s", compared(REVIEWED_SECONDS, "the reviewed system's computing"))


def row(name: str, seconds: list[float]) -> None:
    p50, p99 = np.percentile(seconds, (50, 99))
    print(f"{name:<16}{p50:>8.3f}{p99:>8.3f}{np.mean(seconds):>8.3f}")


def a_cold_hour(home: PromotedHome) -> float:
    """Seconds of a whole process that decides one hour, imports included."""
    pass_an_hour(home)
    command = [sys.executable, "-m", "dagster", "job", "execute", "-m", "eth_pipeline.definitions", "-j", "hourly"]
    began = time.perf_counter()
    subprocess.run(command, env={**os.environ, **home.environment}, capture_output=True, check=True)
    return time.perf_counter() - began


if __name__ == "__main__":
    given = dict(argument.split("=", 1) for argument in sys.argv[1:])
    sys.exit(main(int(given.get("hours", "36")), int(given.get("warm", "4"))))
