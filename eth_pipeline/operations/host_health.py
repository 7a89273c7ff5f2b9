"""Is the host around the signal path in order: settings, lake, registry, clock, disk, alerts.

Belongs here: what a check is, and the checks that need neither market data nor a model. Does not belong: the signal
path (`health`). A check leaves nothing behind: it creates no table, no database, no file that stays.
"""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from eth_pipeline.contracts.clock import iso
from eth_pipeline.contracts.tables import KLINES
from eth_pipeline.errors import EthPipelineError
from eth_pipeline.exchange.exchange_time import newest_offset
from eth_pipeline.exchange.state import HostState
from eth_pipeline.lake import Lake
from eth_pipeline.operations.alerting.book import FILE, open_book
from eth_pipeline.operations.alerting.delivery import read_targets
from eth_pipeline.operations.deadman import EXCHANGE_STATE
from eth_pipeline.operations.processes import ProcessState, process_statuses
from eth_pipeline.registry.alias import check_alias
from eth_pipeline.registry.mlflow_store import PRODUCTION, RegistryStore
from eth_pipeline.registry.promotion_log import PromotionLog
from eth_pipeline.settings import Settings

_LEAST_FREE_BYTES = 1 << 30


class No(EthPipelineError):
    """A question was answered with no."""


@dataclass(frozen=True)
class Check:
    """One question and its answer; `required` decides whether a failure makes the host unhealthy."""

    name: str
    passed: bool
    detail: str
    required: bool = True


def asked(name: str, question: Callable[[], str], *, required: bool = True) -> Check:
    """The answer to a question; whatever it raises is a no."""
    try:
        return Check(name, True, question(), required)
    except Exception as error:  # whatever breaks while asking is the answer: no; damaged tables raise all kinds
        return Check(name, False, said(error), required)


def said(error: Exception) -> str:
    """An error as the detail of a check."""
    text = str(error).strip() or "no message"
    return text if isinstance(error, No) else f"{type(error).__name__}: {text}"


def settings_checks(settings: Settings) -> tuple[Check, ...]:
    """The files that settings name: each there and usable."""
    return (
        asked("public keys", lambda: _public_keys(settings), required=settings.phase == "live"),
        asked("alert targets", lambda: _targets(settings), required=settings.alerts.targets_file is not None),
    )


def lake_writable(settings: Settings, *, may_be_new: bool) -> str:
    """Write a file beside the tables and remove it again; a lake on an object store cannot be asked without a trace.

    Raises:
        No: it cannot be written, or that cannot be known.
        OSError: the disk's own refusal.
    """
    if "://" in settings.lake_location:
        raise No(
            f"{settings.lake_location} is an object store: a probe would leave an object behind. That the newest "
            "signal is recent is the evidence that it takes writes."
        )
    folder = Path(settings.lake_location)
    if not folder.exists():
        if not may_be_new:
            raise No(f"There is no folder {folder}. Run the hourly job once.")
        folder = next(parent for parent in folder.parents if parent.exists())
    with tempfile.TemporaryFile(dir=folder) as probe:
        probe.write(b"health")
        probe.flush()
    return f"{folder} takes files"


def registry_answers(settings: Settings) -> str:
    """Ask MLflow for the production alias.

    Raises:
        No: there is no registry yet.
        RegistryUnavailable: it does not answer.
    """
    named = _registry(settings).named_by(PRODUCTION)
    return f"production is version {named}" if named is not None else "no version is in production"


def alias_agrees(settings: Settings) -> str:
    """Registry, promotion log and this host name the same model.

    Raises:
        No: they do not; or there is no registry yet.
        RegistryUnavailable, ContractViolation: nothing can be said.
    """
    found = check_alias(_registry(settings), PromotionLog.of(settings.home), home=settings.home)
    if not found.consistent:
        raise No(" ".join(found.disagreements))
    return "registry, promotion log and this host agree"


def clock_agrees(lake: Lake, settings: Settings) -> str:
    """How far the exchange's clock is from this host's, as the hourly runs measured it last.

    A schedule fires on the host's clock; an hourly run waits `exchange.bar_wait_seconds` for a bar that is not closed
    yet. An embedded exchange lives at another date on purpose.

    Raises:
        No: never measured, or further than a run waits.
    """
    path = settings.home / EXCHANGE_STATE
    seen = None
    if path.exists():
        state = HostState(path)
        try:
            seen = newest_offset(state, urlsplit(settings.exchange.futures_url).netloc)
        finally:
            state.close()
    if seen is None:
        raise No("The exchange's clock was never measured from here. Run the hourly job once.")
    text = f"the exchange is {seen.offset.total_seconds():+.3f} s from this host, measured {iso(seen.measured_at)}"
    embedded = lake.provenance(KLINES) in ("simulated", "replay")
    if not embedded and abs(seen.offset) > timedelta(seconds=settings.exchange.bar_wait_seconds):
        raise No(f"{text}; runs wait {settings.exchange.bar_wait_seconds:g} s. Let the host keep time by NTP.")
    return text


def processes_are_current(settings: Settings) -> str:
    """Every process that was started here still runs, on the code that lies here.

    Raises:
        No: none was noted, one has ended, or one runs other code or another configuration.
    """
    found = process_statuses(settings)
    if not found:
        raise No("No start was noted here. Start processes by units, `eth-pipeline up` or `eth-pipeline start`.")
    wrong = [p for p in found if p.state is not ProcessState.RUNNING or not (p.same_code and p.same_configuration)]
    if wrong:
        raise No("; ".join(f"{process.name}: {process.statement}" for process in wrong))
    return f"{', '.join(process.name for process in found)} run what lies here"


def disk_has_room(settings: Settings) -> str:
    """Enough space to go on writing.

    Raises:
        No: less than a gigabyte is left.
    """
    folder = next((place for place in (settings.home, *settings.home.parents) if place.exists()), Path("/"))
    free = shutil.disk_usage(folder).free
    text = f"{free / 1e9:.1f} GB free, at least {_LEAST_FREE_BYTES / 1e9:.1f} GB needed"
    if free < _LEAST_FREE_BYTES:
        raise No(f"{text}. Free space on the disk of {folder}.")
    return text


def queue_is_delivered(settings: Settings) -> str:
    """No alert waits for a target.

    Raises:
        No: some do.
    """
    if not (settings.home / FILE).exists():
        return "nothing was told yet"
    with open_book(settings, targets=0) as book:
        waiting = book.undelivered()
    if waiting:
        raise No(f"{waiting} messages wait for delivery. See `eth-pipeline alerts history` and `alerts test`.")
    return "nothing waits"


def _registry(settings: Settings) -> RegistryStore:
    database = settings.home / "mlflow" / "mlflow.db"
    if settings.mlflow_location == f"sqlite:///{database}" and not database.exists():
        raise No(f"There is no registry in {database} yet. Train and promote a candidate.")
    return RegistryStore(settings.mlflow_location, artifact_root=settings.home / "mlflow" / "artifacts")


def _public_keys(settings: Settings) -> str:
    absent = [str(path) for path in settings.public_key_paths if not path.is_file()]
    if absent:
        raise No(f"No key file at {', '.join(absent)}: no bundle can be verified. See `eth-pipeline keys`.")
    return f"{len(settings.public_key_paths)} pinned"


def _targets(settings: Settings) -> str:
    targets = read_targets(settings.alerts.targets_file)
    if not targets:
        raise No("alerts.targets_file is not set or empty: nobody is told of anything.")
    return f"{len(targets)} targets"
