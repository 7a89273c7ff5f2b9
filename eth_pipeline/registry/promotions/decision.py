"""The promotion decision: the verdicts of all gates combined for one phase, in words.

Belongs here: promoted or refused, the readable id, the summary. Does not belong: the gates themselves
(`gates`), the sentences (`contracts.wording.gates`), signing or registering the outcome
(`promotion`).
"""

from datetime import datetime

from pydantic import TypeAdapter, ValidationError

from eth_pipeline.contracts.artifact import GateResult, PromotionDecision, Provenance
from eth_pipeline.contracts.clock import require_utc
from eth_pipeline.contracts.wording import gates as wording
from eth_pipeline.errors import ProvenanceMismatch
from eth_pipeline.models.figures.report import Estimate, EvaluationReport
from eth_pipeline.registry.promotions.gates import evaluate_gates
from eth_pipeline.registry.promotions.stacking_switch import judge_stack
from eth_pipeline.settings import GateSettings, Phase


def decide(
    report: EvaluationReport,
    *,
    phase: Phase,
    settings: GateSettings,
    candidate_fingerprint: str,
    champion_fingerprint: str | None,
    champion_comparison: Estimate | None,
    decided_at: datetime,
) -> PromotionDecision:
    """Judge a candidate for `phase`: promoted when every gate that the phase requires passes.

    Args:
        champion_fingerprint: the bundle in production, None when there is none that could be compared (absent,
            expired, or trained on another feature schema). The candidate itself counts as none.
        champion_comparison: see `evaluate_gates`.
        decided_at: the instant of the decision; part of its id.

    Raises:
        ProvenanceMismatch: the report's provenance is none that the system knows.
    """
    rival = None if champion_fingerprint == candidate_fingerprint else champion_fingerprint
    gates = evaluate_gates(
        report,
        settings=settings,
        provenance=report.provenance,
        champion_comparison=champion_comparison,
        champion_fingerprint=rival,
    )
    promoted = all(gate.passed for gate in gates if phase in gate.required_for)
    stack = judge_stack(report, settings=settings)
    pays = next(gate.passed for gate in gates if gate.name == "pays_after_costs")
    return PromotionDecision(
        decision_id=decision_id(phase=phase, fingerprint=candidate_fingerprint, decided_at=decided_at),
        decided_at=decided_at,
        phase=phase,
        candidate_fingerprint=candidate_fingerprint,
        champion_fingerprint=champion_fingerprint,
        provenance=_provenance(report.provenance),
        promoted=promoted,
        gates=(*gates, stack),
        stacking_enabled=promoted and stack.passed,
        pays_after_costs=pays,
        summary=_summary(report, phase=phase, gates=gates, fingerprint=candidate_fingerprint, promoted=promoted),
    )


def decision_id(*, phase: Phase, fingerprint: str, decided_at: datetime) -> str:
    """`paper-20250629T120000Z-3fa9c1d2e4b5`: the same question asked at the same instant has one id."""
    return f"{phase}-{require_utc(decided_at):%Y%m%dT%H%M%SZ}-{fingerprint[:12]}"


def _summary(
    report: EvaluationReport, *, phase: Phase, gates: tuple[GateResult, ...], fingerprint: str, promoted: bool
) -> str:
    required = [gate for gate in gates if phase in gate.required_for]
    failed = [gate for gate in required if not gate.passed]
    others = [gate for gate in gates if gate.required_for and phase not in gate.required_for and not gate.passed]
    more = report.verdict
    for gate in reversed(others):
        more = wording.ALSO_FAILS(phase=gate.required_for[0], gate=gate.name, reason=gate.reason, more=more)
    subject = {
        "fingerprint": fingerprint[:12],
        "algorithm": report.algorithm,
        "symbol": report.symbol,
        "provenance": report.provenance,
        "phase": phase,
    }
    if promoted:
        return wording.PROMOTED(**subject, count=len(required), more=more)
    reasons = "; ".join(f"{gate.name}: {gate.reason}" for gate in failed)
    return wording.REFUSED(**subject, failed=len(failed), count=len(required), reasons=reasons, more=more)


def _provenance(value: str) -> Provenance:
    known: TypeAdapter[Provenance] = TypeAdapter(Provenance)
    try:
        return known.validate_python(value)
    except ValidationError as error:
        raise ProvenanceMismatch(
            f"The report's provenance is {value!r}. It must be binance, replay or simulated."
        ) from error
