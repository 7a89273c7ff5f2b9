"""A process that runs hours, and dies with them: the child of the soak.

Belongs here: one long-lived process with a real Dagster instance that runs the real `hourly` job on demand. Does not
belong: what it is told (`orders`) and when (`hours`), the faults themselves (`host_faults`). It is forked from a server
that has loaded the definitions once (`preloaded`); nothing that a thread of the soak holds is forked with it. It gets
ready by itself, so one that is made in time keeps nobody waiting.
"""

import multiprocessing
import os
import resource
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

import dagster as dg

from eth_pipeline.contracts.clock import SystemClock
from eth_pipeline.definitions import defs
from eth_pipeline.defs.assets.operations import lake_tables
from eth_pipeline.defs.assets.training_set import registry_store
from eth_pipeline.defs.emission import emit_failed_hour
from eth_pipeline.defs.instance import open_instance
from eth_pipeline.defs.resources import Pipeline
from eth_pipeline.errors import EthPipelineError, NeedsHuman, RegistryUnavailable
from eth_pipeline.settings import load_settings
from eth_pipeline.soak.host_faults import Touches, full_disk, lay_privileges_down
from eth_pipeline.soak.moves import move
from eth_pipeline.soak.orders import Answer, Order

Opens = Literal["exchange", "registry"]

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
_ANSWER_WITHIN_SECONDS = 300.0
_LEAVE_WITHIN_SECONDS = 20.0


class Worker:
    """One process that carries out one order at a time.

    Args:
        environment: what the process needs to work on the home.
        opens: what it opens before it is ready, beside the Dagster instance.
    """

    def __init__(self, environment: Mapping[str, str], *, opens: Opens = "exchange") -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__, "eth_pipeline.soak.preloaded"])
        self._mine, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, dict(environment), opens), daemon=True)
        self._process.start()
        theirs.close()
        self._log = log_file(Path(environment["ETH_PIPELINE_HOME"]))
        self._is_ready = False
        self._begun = time.monotonic()

    @property
    def is_alive(self) -> bool:
        """False after it was killed."""
        return self._process.is_alive()

    def wait_until_ready(self) -> None:
        """Wait until it can take an order.

        Raises:
            NeedsHuman: the process died before; what it printed says why.
        """
        if self._is_ready:
            return
        try:
            self._mine.recv()
        except (EOFError, ConnectionResetError) as error:
            raise NeedsHuman(f"A worker of the soak died at its start. {self._log} says why; cure it.") from error
        self._is_ready = True

    def begin(self, order: Order) -> None:
        """Hand over an order as soon as it can be taken; `finish` waits for its answer.

        Raises:
            NeedsHuman: the process died before it could take an order.
        """
        self.wait_until_ready()
        self._begun = time.monotonic()
        self._mine.send(order)

    def finish(self) -> Answer:
        """The answer to the last order, or that the process is dead.

        A worker that says nothing for minutes hangs; it is killed, and the answer says so.
        """
        try:
            if self._mine.poll(_ANSWER_WITHIN_SECONDS):
                answer = self._mine.recv()
                assert isinstance(answer, Answer)
                return answer
        except (EOFError, ConnectionResetError):
            self._process.join()
            code = self._process.exitcode
            return Answer(False, f"exit code {code}", killed=True, seconds=time.monotonic() - self._begun)
        self.stop()
        return Answer(False, f"hung for {_ANSWER_WITHIN_SECONDS:.0f} s", killed=True, seconds=_ANSWER_WITHIN_SECONDS)

    def run(self, order: Order) -> Answer:
        """One order from beginning to end."""
        self.begin(order)
        return self.finish()

    def dismiss(self) -> None:
        """Let the process close its files and end, without waiting for it; `leave` does."""
        with suppress(OSError):
            self._mine.send(None)

    def leave(self) -> None:
        """Let the process close its files and end; one that is dead or does not end is killed."""
        self.dismiss()
        self._process.join(_LEAVE_WITHIN_SECONDS)
        self.stop()

    def stop(self) -> None:
        """Kill the process; harmless when it is dead."""
        self._process.kill()
        self._process.join()
        self._mine.close()


def _serve(orders: Connection, environment: dict[str, str], opens: Opens) -> None:
    lay_privileges_down()
    os.environ.update(environment)
    _talk_to(log_file(Path(environment["ETH_PIPELINE_HOME"])))
    touches = Touches()
    with ExitStack() as stack:
        instance = stack.enter_context(open_instance(load_settings()))
        _open(opens, instance)
        orders.send("ready")
        while True:
            try:
                order = orders.recv()
            except EOFError:  # the soak is dead
                return
            if order is None:
                return
            orders.send(_carry_out(order, instance, touches))


def _open(what: Opens, instance: dg.DagsterInstance) -> None:
    """Load what the first order would wait for, without writing anything."""
    instance.get_runs(limit=1)
    if what == "registry":
        import matplotlib.figure  # noqa: F401  # loaded for its effect
        import onnx  # noqa: F401  # likewise

        with suppress(RegistryUnavailable):
            registry_store(load_settings()).tries()
    else:
        import pyarrow  # noqa: F401  # loaded for its effect; it starts a thread, so `preloaded` must not have it

        pipeline = Pipeline()
        for table in lake_tables(load_settings()):
            pipeline.lake().version(table)  # the process keeps its lake, and with it what is open
        with pipeline.transport():
            pass
    import onnxruntime  # noqa: F401  # likewise


def log_file(home: Path) -> Path:
    """Where workers of this home write what they would print."""
    return home / "logs" / "soak-workers.log"


def _talk_to(log: Path) -> None:
    """Send what this process prints to `log`; thousands of expected warnings would bury the progress."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as stream:
        for descriptor in (1, 2):
            os.dup2(stream.fileno(), descriptor)


def _carry_out(order: Order, instance: dg.DagsterInstance, touches: Touches) -> Answer:
    before = dict(os.environ)
    os.environ.update(order.environment)
    began, cpu_before = time.monotonic(), time.process_time()
    touches.begin(die_at=order.die_at_touch)
    try:
        with full_disk(order.largest_file_bytes):
            succeeded, says = _do(order, instance)
    finally:
        touched = touches.count
        touches.begin(die_at=None)
        os.environ.clear()
        os.environ.update(before)
    return Answer(
        succeeded,
        says,
        seconds=time.monotonic() - began,
        memory_megabytes=_resident_megabytes(),
        open_files=len(list(Path("/proc/self/fd").iterdir())),
        touches=touched,
        cpu_seconds=time.process_time() - cpu_before,
    )


def _do(order: Order, instance: dg.DagsterInstance) -> tuple[bool, str]:
    try:
        if order.move is not None:
            return True, move(order.move, settings=load_settings(), now=Pipeline().moment().now)
        if order.job == "failed_hour":
            written = emit_failed_hour(Pipeline(), run_id="dead", started_at=SystemClock().now(), error="it was killed")
            return True, "recorded run_failed" if written else "the hour has its record"
        job = defs.resolve_job_def(order.job)
        result = job.execute_in_process(instance=instance, raise_on_error=False, run_config=_QUIET)
        return result.success, _failure(result)
    except EthPipelineError as error:
        return False, f"{type(error).__name__}: {error}"
    except Exception as error:  # a full disk surfaces as whatever the library at hand makes of it
        return False, f"{type(error).__name__}: {error}"


def _failure(result: dg.ExecuteInProcessResult) -> str:
    failed = []
    for event in result.all_events:
        if event.is_step_failure:
            data: Any = event.step_failure_data
            text = data.user_failure_data.description if data.user_failure_data else data.error_display_string
            failed.append(f"{event.step_key}: {str(text).strip().splitlines()[0]}")
    return "; ".join(failed)


def _resident_megabytes() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6
