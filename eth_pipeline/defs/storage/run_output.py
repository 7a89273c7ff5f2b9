"""What a run prints, kept as a file for the UI and shown where the process prints.

Belongs here: capturing standard output and standard error of a run. Does not belong: reading them for the UI
(Dagster's), deleting them with their run (`retention`).

Dagster keeps the same files, but lets `tail` show them, with an interpreter beside each that ends it should the run
die: four processes for every run and every step of a training. Here a thread shows them, which ends with its process.
"""

import os
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from dagster._core.execution.compute_logs import redirect_to_file
from dagster._core.storage.compute_log_manager import CapturedLogContext, ComputeIOType
from dagster._core.storage.local_compute_log_manager import IO_TYPE_EXTENSION, LocalComputeLogManager
from dagster._serdes import ConfigurableClassData

from eth_pipeline.settings import load_settings

_SHOWN_EVERY_SECONDS = 1.0
_BLOCK_BYTES = 2**16


class RunOutput(LocalComputeLogManager):
    """`compute_logs` of dagster.yaml: files below the home, shown by a thread."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """It takes no configuration; the settings decide."""
        return {}

    @classmethod
    def from_config_value(
        cls,
        inst_data: ConfigurableClassData | None,
        config_value: Mapping[str, Any],  # noqa: ARG003  # Dagster passes it by name
    ) -> "RunOutput":
        """Files where Dagster keeps them by itself."""
        return cls(base_dir=str(load_settings().dagster_home / "storage"), inst_data=inst_data)

    @contextmanager
    def capture_logs(self, log_key: Sequence[str]) -> Iterator[CapturedLogContext]:
        """Keep what is printed inside, and show it."""
        with (
            _kept_and_shown(sys.stdout, self._file(log_key, ComputeIOType.STDOUT)),
            _kept_and_shown(sys.stderr, self._file(log_key, ComputeIOType.STDERR)),
        ):
            yield CapturedLogContext(log_key)
        Path(self.get_captured_local_path(log_key, "complete")).touch()  # the UI asks whether more will come

    def _file(self, log_key: Sequence[str], kind: ComputeIOType) -> Path:
        return Path(self.get_captured_local_path(log_key, IO_TYPE_EXTENSION[kind]))


@contextmanager
def _kept_and_shown(stream: IO[str], path: Path) -> Iterator[None]:
    """Send `stream` to the file, and what arrives there to where the stream led before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    try:
        shown = os.dup(stream.fileno())
    except (OSError, ValueError):  # a test's stream that is no file: Dagster cannot redirect it either
        with redirect_to_file(stream, str(path)):
            yield
        return
    is_over = threading.Event()
    shower = threading.Thread(target=_show, args=(path, shown, is_over), name="run-output", daemon=True)
    try:
        shower.start()
        with redirect_to_file(stream, str(path)):
            yield
    finally:
        is_over.set()
        shower.join()
        os.close(shown)


def _show(path: Path, descriptor: int, is_over: threading.Event) -> None:
    """Copy what is in the file and what is added, until it is over; a reader who is gone is no reason to fail."""
    with path.open("rb") as file:
        while True:
            last = is_over.wait(_SHOWN_EVERY_SECONDS)
            while block := file.read(_BLOCK_BYTES):
                try:
                    _write_all(descriptor, block)
                except OSError:
                    return
            if last:
                return


def _write_all(descriptor: int, block: bytes) -> None:
    while block:
        block = block[os.write(descriptor, block) :]
