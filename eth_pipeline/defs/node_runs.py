"""Runs on another host: noticing that the host under a run is gone.

Belongs here: the run launcher of dagster.yaml. Does not belong: serving a node (`cli.node`), what is told about a
failed run (`defs.alerts`).

Dagster's own launcher starts a run wherever its code location is served, and then never asks again: where that host
loses power or its network, the run stays "started" for ever, keeps its place in the queue, and nobody is told
(1.13.27). The run monitor of the daemon would ask, if the launcher could answer; this one can, for nodes.

A node that does not answer may be back in a minute and its run unharmed, so silence counts after a while only. A node
that answers and does not know the run was started anew: the run died with its former self. The location of this host is
left to Dagster: its code server is a proxy, which forgets healthy runs when the location is reloaded.
"""

import json
import time
from collections.abc import Mapping
from typing import Any

import dagster as dg
from dagster._config import Field
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus
from dagster._core.launcher.default_run_launcher import DefaultRunLauncher
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._grpc.client import DagsterGrpcClient
from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult
from dagster._serdes import ConfigurableClassData, deserialize_value

LOCATION_TAG = "dagster/code_location"
_ASK_SECONDS = 10


class NodeRunLauncher(DefaultRunLauncher):
    """As Dagster's default, and able to say whether a run on a node still lives.

    Args:
        locations: names of the code locations that are nodes, served by `eth-pipeline node serve`.
        silence_seconds: a node that has not answered for so long is gone, and its runs with it.
        inst_data: Dagster's.
    """

    def __init__(
        self, *, locations: list[str], silence_seconds: float, inst_data: ConfigurableClassData | None = None
    ) -> None:
        super().__init__(inst_data)
        self._locations, self._silence_seconds = frozenset(locations), silence_seconds
        self._silent_since: dict[str, float] = {}

    @classmethod
    def config_type(cls) -> Any:
        """Fields of `run_launcher.config` in dagster.yaml."""
        return {"locations": [str], "silence_seconds": Field(float, is_required=False, default_value=300.0)}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> "NodeRunLauncher":
        """As Dagster makes it."""
        return cls(inst_data=inst_data, **config_value)

    @property
    def supports_check_run_worker_health(self) -> bool:
        """True: this is what the run monitor looks for."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """RUNNING as long as nothing speaks against it; FAILED with the reason in words for people."""
        location = run.tags.get(LOCATION_TAG, "")
        if location not in self._locations or GRPC_INFO_TAG not in run.tags:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        try:
            knows = _knows(run)
        except DagsterUserCodeUnreachableError as error:
            return self._silent(run, location, error)
        self._silent_since.pop(run.run_id, None)
        if knows:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(
            WorkerStatus.FAILED, f"the node {location} does not know this run any more: its service was started anew"
        )

    def _silent(self, run: dg.DagsterRun, location: str, error: Exception) -> CheckRunHealthResult:
        now = time.monotonic()
        lasted = now - self._silent_since.setdefault(run.run_id, now)
        if lasted < self._silence_seconds:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        said = str(error).partition("\n")[0]
        return CheckRunHealthResult(
            WorkerStatus.FAILED, f"the node {location} has not answered for {lasted:.0f} s ({said})"
        )


def _knows(run: dg.DagsterRun) -> bool:
    where = json.loads(run.tags[GRPC_INFO_TAG])
    client = DagsterGrpcClient(
        host=where["host"],
        port=where.get("port"),
        socket=where.get("socket"),
        use_ssl=bool(where.get("use_ssl", False)),
    )
    answer = client.can_cancel_execution(CanCancelExecutionRequest(run_id=run.run_id), timeout=_ASK_SECONDS)
    return deserialize_value(answer, CanCancelExecutionResult).can_cancel
