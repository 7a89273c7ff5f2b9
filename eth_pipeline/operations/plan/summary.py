"""What a person reads after a plan: the stages, and how the candidate's algorithms compare.

Belongs here: Markdown and JSON of both. Does not belong: computing a figure (`models`).
"""

from collections.abc import Iterable, Sequence
from typing import Any

from eth_pipeline.contracts.artifact import RuntimeContract
from eth_pipeline.contracts.clock import iso
from eth_pipeline.models.figures.report import Estimate, EvaluationReport
from eth_pipeline.operations.plan.state import PlanState

STAGE_HEADER = ("stage", "outcome", "seconds", "peak MB", "made", "kept", "why")


def stage_rows(state: PlanState) -> list[tuple[str, ...]]:
    """One row per stage, under `STAGE_HEADER`."""
    return [
        (
            name,
            record.outcome,
            f"{record.seconds:.1f}",
            f"{record.peak_memory_megabytes:,.0f}",
            ", ".join(record.made) or "–",
            ", ".join(record.kept) or "–",
            record.why,
        )
        for name, record in state.stages.items()
    ]


def state_markdown(state: PlanState, *, comparison: str | None) -> str:
    """The whole summary of a plan."""
    ended = iso(state.ended_at) if state.ended_at else "still running"
    lines = [
        f"# Training plan {state.plan_id}: {state.outcome}",
        "",
        f"Target `{state.target}`, scale `{state.scale}`, {state.symbol}, {state.timeframe}. Started "
        f"{iso(state.started_at)}, ended {ended}, {state.starts} start(s).",
        "",
        _table(STAGE_HEADER, stage_rows(state)),
        "",
        "Runs: " + ("; ".join(_runs(state)) or "none"),
    ]
    return "\n".join([*lines, "", comparison] if comparison else lines) + "\n"


def state_json(state: PlanState, *, comparison: dict[str, Any] | None) -> dict[str, Any]:
    """The same for machines; `comparison` is null where no report was made."""
    return {**state.model_dump(mode="json"), "comparison": comparison}


def comparison_json(report: EvaluationReport, contract: RuntimeContract, *, fingerprint: str) -> dict[str, Any]:
    """Figures of the primary, of every other algorithm and of the stack, per horizon."""
    return {
        "fingerprint": fingerprint,
        "primary": report.algorithm,
        "verdict": report.verdict,
        "provenance": report.provenance,
        "oof_rows": report.oof_rows,
        "folds": report.folds,
        "tries": report.tries,
        "expires_at": iso(contract.expires_at),
        "algorithms": list(_figures(report)),
        "stack": [
            {
                "horizon_hours": s.horizon_hours,
                "rows": s.rows,
                "weights": dict(zip(s.algorithms, s.coefficients, strict=True)),
            }
            for s in contract.stacks
        ],
        "quantiles": [model.horizon_hours for model in contract.quantiles],
        "regime": list(contract.regime.states) if contract.regime else [],
    }


def comparison_markdown(report: EvaluationReport, *, fingerprint: str) -> str:
    """The same for people; the stack acts only where the promotion decision says so."""
    rows = [
        (
            str(f["algorithm"]),
            f"{f['horizon_hours']} h",
            f"{f['rows']:,}",
            _interval(f["auc"]),
            _interval(f["auc_minus_primary"]),
            f"{f['log_loss']:.5f}",
        )
        for f in _figures(report)
    ]
    header = ("algorithm", "horizon", "rows", "AUC of sign [95 %]", "minus primary", "log loss")
    return "\n".join(
        [
            f"## Candidate {fingerprint[:12]}: {report.verdict}",
            "",
            f"{report.oof_rows:,} out-of-fold hours, {report.folds} folds, {report.tries} tries, "
            f"{report.provenance} data. Whether the stack acts is decided by the promotion decision alone.",
            "",
            _table(header, rows),
        ]
    )


def _figures(report: EvaluationReport) -> Iterable[dict[str, Any]]:
    for horizon in report.horizons:
        yield {
            "algorithm": report.algorithm,
            "horizon_hours": horizon.horizon_hours,
            "rows": horizon.rows,
            "auc": _json(horizon.auc),
            "auc_minus_primary": None,
            "log_loss": horizon.log_loss,
        }
    for member in report.members:
        yield {
            "algorithm": member.algorithm,
            "horizon_hours": member.horizon_hours,
            "rows": member.rows,
            "auc": _json(member.auc),
            "auc_minus_primary": _json(member.auc_minus_primary),
            "log_loss": member.log_loss,
        }


def _json(estimate: Estimate) -> dict[str, float | None]:
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}


def _interval(estimate: dict[str, float | None] | None) -> str:
    if estimate is None or estimate["value"] is None:
        return "–"
    value, low, high = (estimate[name] for name in ("value", "low", "high"))
    return f"{value:.4f}" if low is None or high is None else f"{value:.4f} [{low:.4f}, {high:.4f}]"


def _runs(state: PlanState) -> list[str]:
    return [f"{name} {', '.join(record.run_ids)}" for name, record in state.stages.items() if record.run_ids]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = [" | ".join(cell.replace("|", "/").replace("\n", " ") for cell in row) for row in rows]
    return "\n".join(["| " + " | ".join(header) + " |", "|" + "---|" * len(header), *(f"| {row} |" for row in cells)])
