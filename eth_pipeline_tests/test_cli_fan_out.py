"""The fan-out on its real engine: results do not depend on workers, a lost worker costs a try and nothing else."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dask
import pytest

from eth_pipeline.cli.processes import accepts, free_port
from eth_pipeline.cli.training.fan_out import Finished, Workers, crew, fan_out, require_private
from eth_pipeline.errors import NeedsHuman, RetryLater, SettingsInvalid
from eth_pipeline_tests.waiting import wait_until

HERE = Path(__file__).resolve().parents[1]


REFUSED, KILLED_ONCE, ALWAYS_KILLED = 1, 2, 3


def squared(task: tuple[Path, int]) -> int:
    """Leaves a line per try, so that a test can count them."""
    folder, number = task
    with (folder / str(number)).open("a") as lines:
        lines.write(f"{os.getpid()} {os.environ.get('OMP_NUM_THREADS')}\n")
    return number * number


def troubled(task: tuple[Path, int]) -> int:
    """As `squared`, but one task is refused, and two lose their worker as when memory runs out: once, and always."""
    result, number = squared(task), task[1]
    if number == REFUSED:
        raise NeedsHuman("Month 1 has too little history.\nIngest more.")
    if number == ALWAYS_KILLED or (number == KILLED_ONCE and len(tries(*task)) == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    return result


def tries(folder: Path, number: int) -> list[str]:
    return (folder / str(number)).read_text().splitlines()


def tasks(folder: Path) -> list[tuple[Path, int]]:
    return [(folder, number) for number in range(7)]


@dataclass(frozen=True)
class Trouble:
    """A fan-out of `troubled` on two workers: what came of it, and the environment before and after."""

    folder: Path
    found: dict[int, Finished[tuple[Path, int], int]]
    before: dict[str, str]
    after: dict[str, str]


@pytest.fixture(scope="module")
def trouble(tmp_path_factory: pytest.TempPathFactory) -> Trouble:
    folder, before = tmp_path_factory.mktemp("trouble"), dict(os.environ)
    refused, others = [(folder, REFUSED)], [task for task in tasks(folder) if task[1] != REFUSED]
    with crew(Workers(count=2, lost_workers=1)) as hands:
        # apart: what a worker has ended and not told yet when its next task kills it is rightly done again
        finished = [*hands.fan_out(troubled, refused), *hands.fan_out(troubled, others)]
    assert len(finished) == len(tasks(folder))
    return Trouble(folder, {f.task[1]: f for f in finished}, before, dict(os.environ))


def test_a_killed_worker_costs_its_task_another_try_and_the_run_nothing(trouble: Trouble) -> None:
    assert trouble.found[KILLED_ONCE].result == KILLED_ONCE**2
    assert len(tries(trouble.folder, KILLED_ONCE)) >= 2


def test_a_task_that_kills_every_worker_fails_alone(trouble: Trouble) -> None:
    """With a second task waiting at the worker, both were counted, and a healthy one was given up too."""
    assert trouble.found[ALWAYS_KILLED].result is None
    assert "every worker that began it was lost" in (trouble.found[ALWAYS_KILLED].error or "")
    good = {number: f.result for number, f in trouble.found.items() if f.error is None}
    assert good == {number: number**2 for number in (0, KILLED_ONCE, 4, 5, 6)}


def test_a_task_that_fails_says_why_in_one_line_and_is_not_tried_again(trouble: Trouble) -> None:
    assert trouble.found[REFUSED].error == "Month 1 has too little history. Ingest more."
    assert len(tries(trouble.folder, REFUSED)) == 1


def test_workers_are_processes_that_share_the_cores_and_leave_the_environment_as_it_was(trouble: Trouble) -> None:
    lines = [line.split() for number in trouble.found for line in tries(trouble.folder, number)]
    assert {threads for _, threads in lines} == {str(max(1, (os.cpu_count() or 1) // 2))}
    assert str(os.getpid()) not in {pid for pid, _ in lines}
    assert trouble.after == trouble.before


def test_nothing_to_do_starts_nothing() -> None:
    assert list(fan_out(squared, [], workers=Workers(cluster="tcp://127.0.0.1:1"))) == []


@pytest.fixture
def certified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The lines of the documentation that make a certificate and name it, in a folder of the test's."""
    text = (HERE / "docs" / "scale_out.md").read_text()
    found = re.search(r"One authority.*?```\n(.*?)```.*?```\n(.*?)```", text, flags=re.DOTALL)
    assert found is not None
    lines = f"set -e\n{found[1]}{found[2].replace('/etc/eth-pipeline', str(tmp_path))}env -0"
    done = subprocess.run(["bash", "-c", lines], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    named = (line.partition("=") for line in done.stdout.split("\0") if line.startswith("DASK_"))
    for name, _, value in named:
        monkeypatch.setenv(name, value)
    dask.config.refresh()
    yield
    monkeypatch.undo()
    dask.config.refresh()


class Cluster:
    """A scheduler and one worker as the documentation starts them; stopped by their ids."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.address = f"tls://127.0.0.1:{self.port}"
        self._folder = folder
        self._running: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "Cluster":
        here = ("--protocol", "tls", "--host", "127.0.0.1", "--port", str(self.port))
        scheduler = self._start("scheduler", *here, "--no-dashboard")
        wait_until(lambda: accepts(self.port) or scheduler.poll() is not None, seconds=60)
        alone = ("--nworkers", "1", "--nthreads", "1", "--memory-limit", "0", "--no-dashboard")
        self._start("worker", self.address, *alone, "--local-directory", str(self._folder))
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._running):
            process.terminate()
        for process in self._running:
            process.wait(timeout=30)

    def _start(self, part: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "dask", part, *arguments]
        log = (self._folder / f"{part}.log").open("wb")
        process = subprocess.Popen(command, cwd=HERE, stdout=log, stderr=log)
        log.close()
        self._running.append(process)
        return process


@pytest.mark.usefixtures("certified")
def test_a_cluster_runs_the_same_tasks_and_a_worker_with_other_settings_runs_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Models of two versions or two settings in one history would be told apart by nobody."""
    monkeypatch.setenv("ETH_PIPELINE_HOME", str(tmp_path))
    with Cluster(tmp_path) as cluster:
        workers = Workers(cluster=cluster.address)
        found = {f.task[1]: f.result for f in fan_out(squared, tasks(tmp_path), workers=workers)}
        assert found == {number: number**2 for number in range(7)}
        monkeypatch.setenv("ETH_PIPELINE_TRAINING__SEED", "8")
        (refused,) = fan_out(squared, tasks(tmp_path)[:1], workers=workers)
        assert refused.result is None
        assert "other settings than the command" in (refused.error or "")


def test_a_scheduler_that_does_not_answer_is_an_error_and_no_hang(tmp_path: Path) -> None:
    nobody = Workers(cluster=f"tcp://127.0.0.1:{free_port()}", connect_seconds=1.0)
    with pytest.raises(RetryLater, match="No scheduler answers at tcp:"):
        list(fan_out(squared, tasks(tmp_path), workers=nobody))


def test_whoever_has_no_certificate_is_told_which_to_name(tmp_path: Path) -> None:
    """The engine said `TLS expects a ssl_context argument .. Instead got None`."""
    with pytest.raises(SettingsInvalid, match="TLS__CA_FILE"):
        list(fan_out(squared, tasks(tmp_path), workers=Workers(cluster="tls://127.0.0.1:8786")))


@pytest.mark.parametrize("address", ["tcp://10.0.0.5:8786", "tcp://scheduler:8786", "10.0.0.5:8786", "tls://host", ""])
def test_a_scheduler_that_anybody_could_send_code_to_is_refused(address: str) -> None:
    with pytest.raises(SettingsInvalid, match="tls://"):
        require_private(address)


@pytest.mark.parametrize(
    "address", ["tls://10.0.0.5:8786", "tcp://127.0.0.1:8786", "tcp://localhost:1", "tcp://[::1]:1"]
)
def test_encryption_or_loopback_is_accepted(address: str) -> None:
    require_private(address)
