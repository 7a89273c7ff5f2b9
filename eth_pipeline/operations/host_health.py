"""Is the host around the signal path in order: settings, lake, registry, clock, disk, alerts.

Belongs here: what a check is, and the checks that need neither market data nor a model. Does not belong: the signal
path (`health`), the sentences (`contracts.wording.health`). A check leaves nothing behind: it creates no table, no
database, no file that stays.
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
from eth_pipeline.contracts.wording import health as wording
from eth_pipeline.contracts.wording.alerts import NO_MESSAGE
from eth_pipeline.contracts.wording.alias import AGREE
from eth_pipeline.contracts.wording.processes import ALL_CURRENT, NO_NOTE
from eth_pipeline.errors import EthPipelineError
from eth_pipeline.exchange.http.exchange_time import newest_offset
from eth_pipeline.exchange.http.state import STATE_FILE, HostState
from eth_pipeline.lake import Lake
from eth_pipeline.operations.alerting.book import FILE, open_book
from eth_pipeline.operations.alerting.delivery import read_targets
from eth_pipeline.operations.processes import ProcessState, process_statuses
from eth_pipeline.registry.mlflow_store import PRODUCTION, RegistryStore
from eth_pipeline.registry.promotions.alias import check_alias
from eth_pipeline.registry.promotions.promotion_log import PromotionLog
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
    text = str(error).strip() or NO_MESSAGE()
    return text if isinstance(error, No) else f"{type(error).__name__}: {text}"


def settings_checks(settings: Settings) -> tuple[Check, ...]:
    """The files that settings name: each there and usable."""
    return (
        asked(wording.PUBLIC_KEYS(), lambda: _public_keys(settings), required=settings.phase == "live"),
        asked(wording.ALERT_TARGETS(), lambda: _targets(settings), required=settings.alerts.targets_file is not None),
    )


def lake_writable(settings: Settings, *, may_be_new: bool) -> str:
    """Write a file beside the tables and remove it again; a lake on an object store cannot be asked without a trace.

    Raises:
        No: it cannot be written, or that cannot be known.
        OSError: the disk's own refusal.
    """
    if "://" in settings.lake_location:
        raise No(wording.OBJECT_STORE(place=settings.lake_location))
    folder = Path(settings.lake_location)
    if not folder.exists():
        if not may_be_new:
            raise No(wording.NO_FOLDER(place=str(folder)))
        folder = next(parent for parent in folder.parents if parent.exists())
    with tempfile.TemporaryFile(dir=folder) as probe:
        probe.write(b"health")
        probe.flush()
    return wording.TAKES_FILES(place=str(folder))


def registry_answers(settings: Settings) -> str:
    """Ask MLflow for the production alias.

    Raises:
        No: there is no registry yet.
        RegistryUnavailable: it does not answer.
    """
    named = _registry(settings).named_by(PRODUCTION)
    return wording.PRODUCTION_IS(version=named) if named is not None else wording.NO_PRODUCTION()


def alias_agrees(settings: Settings) -> str:
    """Registry, promotion log and this host name the same model.

    Raises:
        No: they do not; or there is no registry yet.
        RegistryUnavailable, ContractViolation: nothing can be said.
    """
    found = check_alias(_registry(settings), PromotionLog.of(settings.home), home=settings.home)
    if not found.consistent:
        raise No(" ".join(found.disagreements))
    return AGREE()


def clock_agrees(lake: Lake, settings: Settings) -> str:
    """How far the exchange's clock is from this host's, as the hourly runs measured it last.

    A schedule fires on the host's clock; an hourly run waits `exchange.bar_wait_seconds` for a bar that is not closed
    yet. An embedded exchange lives at another date on purpose.

    Raises:
        No: never measured, or further than a run waits.
    """
    path = settings.home / STATE_FILE
    seen = None
    if path.exists():
        state = HostState(path)
        try:
            seen = newest_offset(state, urlsplit(settings.exchange.futures_url).netloc)
        finally:
            state.close()
    if seen is None:
        raise No(wording.CLOCK_NEVER_MEASURED())
    offset, measured_at, limit = seen.offset.total_seconds(), iso(seen.measured_at), settings.exchange.bar_wait_seconds
    embedded = lake.provenance(KLINES) in ("simulated", "replay")
    if not embedded and abs(seen.offset) > timedelta(seconds=limit):
        raise No(wording.CLOCK_TOO_FAR(offset=offset, time=measured_at, limit=limit))
    return wording.CLOCK_OFFSET(offset=offset, time=measured_at)


def processes_are_current(settings: Settings) -> str:
    """Every process that was started here still runs, on the code that lies here.

    Raises:
        No: none was noted, one has ended, or one runs other code or another configuration.
    """
    found = process_statuses(settings)
    if not found:
        raise No(NO_NOTE())
    wrong = [p for p in found if p.state is not ProcessState.RUNNING or not (p.same_code and p.same_configuration)]
    if wrong:
        raise No("; ".join(f"{process.name}: {process.statement}" for process in wrong))
    return ALL_CURRENT(names=", ".join(process.name for process in found))


def disk_has_room(settings: Settings) -> str:
    """Enough space to go on writing.

    Raises:
        No: less than a gigabyte is left.
    """
    folder = next((place for place in (settings.home, *settings.home.parents) if place.exists()), Path("/"))
    free = shutil.disk_usage(folder).free
    figures = {"free": free / 1e9, "least": _LEAST_FREE_BYTES / 1e9}
    if free < _LEAST_FREE_BYTES:
        raise No(wording.DISK_FULL(**figures, place=str(folder)))
    return wording.DISK_FREE(**figures)


def queue_is_delivered(settings: Settings) -> str:
    """No alert waits for a target.

    Raises:
        No: some do.
    """
    if not (settings.home / FILE).exists():
        return wording.NOTHING_TOLD()
    with open_book(settings, targets=0) as book:
        waiting = book.undelivered()
    if waiting:
        raise No(wording.MESSAGES_WAIT(waiting=waiting))
    return wording.NOTHING_WAITS()


def _registry(settings: Settings) -> RegistryStore:
    database = settings.home / "mlflow" / "mlflow.db"
    if settings.mlflow_location == f"sqlite:///{database}" and not database.exists():
        raise No(wording.NO_REGISTRY(place=str(database)))
    return RegistryStore(settings.mlflow_location, artifact_root=settings.home / "mlflow" / "artifacts")


def _public_keys(settings: Settings) -> str:
    absent = [str(path) for path in settings.public_key_paths if not path.is_file()]
    if absent:
        raise No(wording.NO_KEYS(places=", ".join(absent)))
    return wording.KEYS_PINNED(count=len(settings.public_key_paths))


def _targets(settings: Settings) -> str:
    targets = read_targets(settings.alerts.targets_file)
    if not targets:
        raise No(wording.NO_TARGETS())
    return wording.TARGETS(count=len(targets))
