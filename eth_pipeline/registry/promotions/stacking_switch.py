"""Whether the stack may act instead of the primary: the only place where stacking is switched on.

Belongs here: the verdict. Does not belong: its sentences (`contracts.wording.gates`), fitting the stack
(`models.stacking`), the other gates (`gates`). No setting and no environment variable switches stacking on; a
promotion decision does.
"""

from eth_pipeline.contracts.artifact import GateResult
from eth_pipeline.contracts.wording import gates as wording
from eth_pipeline.models.figures.report import EvaluationReport, MemberFigures
from eth_pipeline.models.stacking import ALGORITHM
from eth_pipeline.settings import GateSettings

NAME = wording.STACKING()


def judge_stack(report: EvaluationReport, *, settings: GateSettings) -> GateResult:
    """On where the stack was fitted on enough rows and is proven better than the primary at every horizon.

    Better means: the lower bound of the paired AUC difference is above zero at the shortest horizon, at no horizon is
    the difference below zero, and the log loss is lower at every horizon. The gate is required for nothing: a bundle
    whose stack stays off is promoted on its primary.
    """
    stack = sorted((m for m in report.members if m.algorithm == ALGORITHM), key=lambda m: m.horizon_hours)
    if len(stack) != len(report.horizons):
        return _verdict(None, settings, passed=False, reason=wording.STACK_ABSENT())
    rows = min(figures.rows for figures in stack)
    if rows < settings.stacking_min_samples:
        reason = wording.STACK_SHORT(rows=rows, needed=settings.stacking_min_samples)
        return _verdict(rows, settings, passed=False, reason=reason)
    if problem := next((text for figures in stack if (text := _not_better(figures, first=stack[0]))), None):
        return _verdict(rows, settings, passed=False, reason=problem)
    low, high = stack[0].auc_minus_primary.low, stack[0].auc_minus_primary.high
    gained = f"{stack[0].auc_minus_primary.value:+.4f} [{low:+.4f}, {high:+.4f}]"
    reason = wording.STACK_ON(gained=gained, hours=stack[0].horizon_hours, rows=rows)
    return _verdict(rows, settings, passed=True, reason=reason)


def _not_better(figures: MemberFigures, *, first: MemberFigures) -> str | None:
    difference, hours = figures.auc_minus_primary, figures.horizon_hours
    if difference.value is None or difference.low is None:
        return wording.STACK_UNKNOWN(hours=hours)
    if figures is first and difference.low <= 0:
        return wording.STACK_UNPROVEN(hours=hours, low=difference.low)
    if difference.value < 0:
        return wording.STACK_WORSE(hours=hours, difference=difference.value)
    if figures.log_loss >= figures.log_loss_primary:
        return wording.STACK_NOT_SHARPER(hours=hours)
    return None


def _verdict(rows: int | None, settings: GateSettings, *, passed: bool, reason: str) -> GateResult:
    return GateResult(
        name=NAME,
        value=None if rows is None else float(rows),
        threshold=float(settings.stacking_min_samples),
        passed=passed,
        required_for=(),
        reason=reason,
    )
