"""The model in use: where it came from, what it scored, which gates it passed, what the promotion log says.

Belongs here: reading the bundle and the log. Does not belong: verifying the signature: the hourly run does that at
every load, and whoever reads these files on the board loads no model from them.
"""

from dataclasses import dataclass
from pathlib import Path

from eth_pipeline.contracts.artifact import DataVersions, PromotionDecision, RuntimeContract
from eth_pipeline.errors import EthPipelineError
from eth_pipeline.models.figures.report import EvaluationReport
from eth_pipeline.registry.bundles.verification import (
    fingerprint,
    read_contract,
    read_data_versions,
    read_decision,
    read_report,
)
from eth_pipeline.registry.promotions.log_state import last_move
from eth_pipeline.registry.promotions.production import Pointer, pointer
from eth_pipeline.registry.promotions.promotion_log import PromotionEntry, PromotionLog


@dataclass(frozen=True)
class ModelCard:
    """One bundle and its papers; the parts that cannot be read are None and named in `problems`.

    Attributes:
        pointer: what this host uses; None where nothing was ever brought here.
        intact: the files are the ones that were fingerprinted.
        promotions: the whole log, newest first; only where its chain proves itself.
        problems: sentences; none means that host, bundle and log agree.
    """

    pointer: Pointer | None
    intact: bool | None
    contract: RuntimeContract | None
    report: EvaluationReport | None
    decision: PromotionDecision | None
    data: DataVersions | None
    promotions: tuple[PromotionEntry, ...]
    problems: tuple[str, ...]


def read_model_card(home: Path) -> ModelCard:
    """The card of the bundle that `<home>/production/current` names."""
    problems: list[str] = []
    entries = _promotions(home, problems)
    here = _pointer(home, problems)
    _compare(here, entries, problems)
    newest_first = tuple(reversed(entries))
    if here is None:
        return ModelCard(None, None, None, None, None, None, newest_first, tuple(problems))
    folder = home / "production" / here.folder
    try:
        intact = fingerprint(folder) == here.fingerprint
        papers = read_contract(folder), read_report(folder), read_decision(folder), read_data_versions(folder)
    except EthPipelineError as error:
        problems.append(str(error))
        return ModelCard(here, None, None, None, None, None, newest_first, tuple(problems))
    if not intact:
        problems.append(f"The files of {folder.name[:12]} are not the ones that were fingerprinted.")
    contract, report, decision, data = papers
    return ModelCard(here, intact, contract, report, decision, data, newest_first, tuple(problems))


def _promotions(home: Path, problems: list[str]) -> tuple[PromotionEntry, ...]:
    try:
        return PromotionLog.of(home).verify()
    except EthPipelineError as error:
        problems.append(str(error))
        return ()


def _pointer(home: Path, problems: list[str]) -> Pointer | None:
    try:
        return pointer(home)
    except EthPipelineError as error:
        problems.append(str(error))
        return None


def _compare(here: Pointer | None, entries: tuple[PromotionEntry, ...], problems: list[str]) -> None:
    """Does this host use what the log moved into production last?"""
    if here is not None and here.unreconciled:
        problems.append(f"This host is in doubt about the registry: {here.unreconciled}.")
    moved = last_move(entries)
    if here is not None and moved is not None and moved.fingerprint != here.fingerprint:
        problems.append(
            f"This host runs version {here.version}, the promotion log moved version {moved.version} into production "
            "last. Materialize `production_bundle`."
        )
