"""The model bundle on disk: written whole, named by its content, decided about, signed.

Belongs here: writing a bundle, its fingerprint, attaching the decision. Does not belong: assembling the contract
(`candidate_bundle`), cryptography (`signing`), verdicts (`registry.promotions.gates`); the checks before a
load are in `verification` and are offered here too.
"""

import tempfile
from pathlib import Path

from pydantic import BaseModel, ValidationError

from eth_pipeline.contracts.artifact import (
    DATA_VERSIONS,
    DECISION,
    DRIFT,
    METRICS,
    MODELS,
    RUNTIME_CONTRACT,
    SIGNATURE,
    DataVersions,
    PromotionDecision,
    RuntimeContract,
)
from eth_pipeline.errors import ContractViolation, DecisionRefused
from eth_pipeline.models.drift import DriftReference
from eth_pipeline.models.figures.report import EvaluationReport
from eth_pipeline.registry.atomic import replace_text
from eth_pipeline.registry.bundles.layout import MODEL_FILE, bundle_files
from eth_pipeline.registry.bundles.signing import sign_folder
from eth_pipeline.registry.bundles.verification import (
    Expectations,
    VerifiedBundle,
    fingerprint,
    read_report,
    verify_bundle,
)

__all__ = [
    "Expectations",
    "VerifiedBundle",
    "attach_decision",
    "fingerprint",
    "read_report",
    "verify_bundle",
    "write_bundle",
]


def write_bundle(
    folder: Path,
    *,
    contract: RuntimeContract,
    models: dict[str, bytes],
    report: EvaluationReport,
    data: DataVersions,
    drift: DriftReference | None = None,
) -> str:
    """Write an undecided, unsigned bundle to `folder`, all or nothing, and return its fingerprint.

    Args:
        models: ONNX bytes by file name, exactly the files that `contract.models` names.
        drift: what newest rows are compared with; without it nobody can say whether they still resemble training.

    Raises:
        ContractViolation: the parts contradict each other, a figure is not finite, or `folder` holds a bundle
            that was already decided about (one that was not is replaced).
    """
    _refuse_contradictions(contract=contract, models=models, report=report)
    if (folder / DECISION).exists() or (folder / SIGNATURE).exists():
        raise ContractViolation(f"{folder} holds a bundle that was decided about. Write the new one to a new folder.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".bundle-") as scratch:
        unfinished = Path(scratch) / "new"
        (unfinished / MODELS).mkdir(parents=True)
        for name, content in models.items():
            (unfinished / MODELS / name).write_bytes(content)
        parts: list[tuple[str, BaseModel]] = [(RUNTIME_CONTRACT, contract), (METRICS, report), (DATA_VERSIONS, data)]
        for name, part in parts + ([(DRIFT, drift)] if drift is not None else []):
            (unfinished / name).write_text(_json(part, name=name), encoding="utf-8")
        bundle_files(unfinished)
        if folder.exists():
            folder.rename(Path(scratch) / "old")
        unfinished.rename(folder)
    return fingerprint(folder)


def attach_decision(folder: Path, decision: PromotionDecision, *, private_key: Path) -> None:
    """Write `promotion_decision.json` into the bundle and sign the whole of it.

    A refusal is signed as well: the registry keeps it as the proof of why the candidate is not in use.

    Raises:
        DecisionRefused: the decision is about another bundle.
        SettingsInvalid: the private key cannot be used.
    """
    content = fingerprint(folder)
    if decision.candidate_fingerprint != content:
        raise DecisionRefused(
            f"Decision {decision.decision_id} is about {decision.candidate_fingerprint[:12]}, but {folder} is "
            f"{content[:12]}. Decide about this bundle, or name the right folder."
        )
    # Between the two writes the folder has no signature and is refused; never an old signature beside new words.
    (folder / SIGNATURE).unlink(missing_ok=True)
    replace_text(folder / DECISION, _json(decision, name=DECISION))
    sign_folder(folder, private_key=private_key)


def _refuse_contradictions(*, contract: RuntimeContract, models: dict[str, bytes], report: EvaluationReport) -> None:
    named = set(contract.files)
    if not models or named != set(models):
        raise ContractViolation(
            f"The runtime contract names the model files {sorted(named)}, but {sorted(models)} were handed over. "
            "They must be the same file names, without the folder."
        )
    if odd := sorted(name for name in models if not MODEL_FILE.fullmatch(name)):
        raise ContractViolation(f"Model file names {odd} are not allowed; use letters, digits, `_.-` and end in .onnx.")
    if (contract.symbol, contract.provenance) != (report.symbol, report.provenance):
        raise ContractViolation(
            f"The runtime contract is about {contract.symbol} from {contract.provenance}, the evaluation report about "
            f"{report.symbol} from {report.provenance}. Evaluate and export the same candidate."
        )


def _json(part: BaseModel, *, name: str) -> str:
    """JSON that reads back as the same value; NaN and infinity would come back as null."""
    text = part.model_dump_json(indent=2)
    try:
        intact = type(part).model_validate_json(text, strict=True) == part
    except ValidationError:
        intact = False
    if not intact:
        raise ContractViolation(
            f"{name} does not survive JSON, probably a figure is NaN or infinite. Correct it first."
        )
    return text + "\n"
