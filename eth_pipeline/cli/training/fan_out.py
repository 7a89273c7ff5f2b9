"""Fan-out: many independent trainings, each in a worker process, on this machine or on a cluster.

Belongs here: starting or reaching the engine (dask.distributed), handing out tasks, what a lost worker costs. Does not
belong: what a task does, which tasks there are.

The engine keeps the list of tasks, so a worker that dies (killed, out of memory, a host that is gone) costs the tasks
it held another try and nothing else; a task that has lost so many workers fails alone. Tasks are told what they need
by their arguments and share nothing, so their results do not depend on how many workers there are or in which order
they finish; every task compares code, packages and settings with those of whoever asked before it begins.
"""

import functools
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

from eth_pipeline.contracts.listening import is_loopback
from eth_pipeline.errors import NeedsHuman, RetryLater, SettingsInvalid
from eth_pipeline.operations.manifest import code_version, lock_digest
from eth_pipeline.settings import load_settings

Task = TypeVar("Task")
Result = TypeVar("Result")

_ONE_TASK_A_WORKER = {"distributed.scheduler.worker-saturation": 1.0}  # a dying worker takes no task along that waits
_THREAD_COUNTS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS")


@dataclass(frozen=True)
class Workers:
    """Where tasks run.

    Attributes:
        count: processes on this machine; each has its share of the cores. Ignored with a cluster.
        cluster: address of a running scheduler, `tls://scheduler.internal:8786`; None starts workers here.
        lost_workers: a task may lose so many of this machine's workers and is tried again; a cluster's scheduler has
            a number of its own.
        connect_seconds: how long a cluster's scheduler may take to answer.
    """

    count: int = 1
    cluster: str | None = None
    lost_workers: int = 3
    connect_seconds: float = 20.0


@dataclass(frozen=True)
class Finished(Generic[Task, Result]):
    """A task that ended: its result, or `error`, one line that says why there is none."""

    task: Task
    result: Result | None
    error: str | None


class Crew:
    """Workers that are started, or reached, for the first task and stay until everything is done."""

    def __init__(self, workers: Workers, *, until: ExitStack) -> None:
        self._workers = workers
        self._until = until
        self._client: Any = None

    def fan_out(self, function: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[Finished[Task, Result]]:
        """Run `function` on every task and yield each as it ends, in no particular order.

        Args:
            function: importable by name where the workers run; may be called again for a task whose worker was lost.
            tasks: small picklable values.

        Raises:
            SettingsInvalid: the cluster's address is one that must not be used.
            RetryLater: nobody answers there.
        """
        if not tasks:
            return
        from distributed import as_completed

        if self._client is None:
            self._client = self._until.enter_context(_connected(self._workers))
        guarded = functools.partial(_guarded, function, running_identity())
        futures = {self._client.submit(guarded, task, pure=False): task for task in tasks}
        for future in as_completed(list(futures)):  # type: ignore[no-untyped-call]  # the engine is untyped
            yield _finished(future, futures.pop(future))
            future.release()


@contextmanager
def crew(workers: Workers) -> Iterator[Crew]:
    """A crew for all steps of a command: what a worker has imported for the first step, it has for the next one."""
    with ExitStack() as until:
        yield Crew(workers, until=until)


def fan_out(
    function: Callable[[Task], Result], tasks: Sequence[Task], *, workers: Workers
) -> Iterator[Finished[Task, Result]]:
    """`Crew.fan_out` where nothing comes after it."""
    with crew(workers) as hands:
        yield from hands.fan_out(function, tasks)


def running_identity() -> dict[str, str]:
    """What two processes must have in common to give one result: code, packages, settings."""
    return {
        "code": code_version().files_digest,
        "packages": lock_digest(),
        "settings": load_settings().digest(),
    }


def require_private(address: str) -> None:
    """Refuse a scheduler that anybody in the network could send code to.

    A scheduler runs what it is sent. Plain `tcp://` names nobody, so it is for loopback; beyond that `tls://`, with
    certificates on both sides.

    Raises:
        SettingsInvalid: not `tls://`, and not loopback either.
    """
    parts = urlsplit(address)
    if parts.scheme not in ("tcp", "tls") or not parts.hostname or parts.port is None:
        raise SettingsInvalid(f"{address!r} is no scheduler. Write tls://HOST:PORT, or tcp://127.0.0.1:PORT.")
    if parts.scheme == "tcp" and not is_loopback(parts.hostname):
        raise SettingsInvalid(
            f"{address} is neither encrypted nor authenticated: whoever reaches it can run code. Use tls:// with "
            "certificates (docs/scale_out.md), or a tunnel to loopback."
        )


def _guarded(function: Callable[[Task], Result], expected: Mapping[str, str], task: Task) -> Result:
    here = running_identity()
    others = sorted(name for name in expected.keys() | here.keys() if expected.get(name) != here.get(name))
    if others:
        raise NeedsHuman(
            f"This worker has other {', '.join(others)} than the command that asked it. Install the same version and "
            "give both the same settings (docs/scale_out.md)."
        )
    return function(task)


def _finished(future: Any, task: Task) -> Finished[Task, Any]:
    if future.cancelled():
        return Finished(task, None, "the scheduler went away; its log says why.")
    error = future.exception()
    if error is None:
        return Finished(task, future.result(), None)
    if type(error).__name__ == "KilledWorker":
        said = "every worker that began it was lost: killed, or out of memory. Fewer workers leave more for each."
    else:
        said = " ".join(str(error).split()) or type(error).__name__
    return Finished(task, None, said)


@contextmanager
def _connected(workers: Workers) -> Iterator[Any]:
    from distributed import Client

    if workers.cluster is None:
        with _local_cluster(workers) as cluster, Client(cluster) as client:  # type: ignore[no-untyped-call]  # the engine is untyped
            yield client
        return
    require_private(workers.cluster)
    _require_certificate(workers.cluster)
    try:
        client = Client(workers.cluster, timeout=workers.connect_seconds)  # type: ignore[no-untyped-call]  # the engine is untyped
    except (OSError, TimeoutError) as error:
        raise RetryLater(
            f"No scheduler answers at {workers.cluster}: {error}. See docs/scale_out.md, or leave --cluster out."
        ) from error
    with client:
        yield client


def _require_certificate(address: str) -> None:
    """The engine would say that it got None where it expects a context."""
    from distributed.security import Security

    told = Security().get_connection_args("client")  # type: ignore[no-untyped-call]  # the engine is untyped
    if urlsplit(address).scheme == "tls" and told.get("ssl_context") is None:
        raise SettingsInvalid(
            f"{address} asks for a certificate, and none is named. Set DASK_DISTRIBUTED__COMM__TLS__CA_FILE, "
            "..__CLIENT__CERT and ..__CLIENT__KEY as docs/scale_out.md has them."
        )


@contextmanager
def _local_cluster(workers: Workers) -> Iterator[Any]:
    """Workers of this command alone: loopback, encrypted with keys that nobody else ever sees, gone with it."""
    import dask
    from distributed import LocalCluster

    with (
        _threads_shared_by(workers.count),
        tempfile.TemporaryDirectory(prefix="eth-pipeline-workers-") as scratch,
        dask.config.set(_ONE_TASK_A_WORKER | {"distributed.scheduler.allowed-failures": workers.lost_workers}),
        LocalCluster(  # type: ignore[no-untyped-call]  # the engine is untyped
            n_workers=workers.count,
            threads_per_worker=1,
            processes=True,
            protocol="tls://",
            security=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            memory_limit=0,
            local_directory=scratch,
            silence_logs=50,
        ) as cluster,
    ):
        yield cluster


@contextmanager
def _threads_shared_by(count: int) -> Iterator[None]:
    """The environment that the workers inherit; the engine changes it too, and it is put back afterwards."""
    before = dict(os.environ)
    share = str(max(1, (os.cpu_count() or 1) // count))
    os.environ.update(dict.fromkeys(_THREAD_COUNTS, share))
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
