"""The promotion gates: each compares one figure of the evaluation report with one setting.

Belongs here: the verdict of every gate with its figure and threshold. Does not belong: computing the figures
(`models.figures.metrics`), the sentences (`contracts.wording.gates`), combining the verdicts (`decision`).

Gates about skill and soundness hold in both phases; net profit and provenance are demanded by live alone, and
reported in paper too. A figure that is missing or not a number never passes.
"""

import math
from statistics import NormalDist

from eth_pipeline.contracts.artifact import GateResult
from eth_pipeline.contracts.wording import gates as wording
from eth_pipeline.contracts.wording.forecasts import UNKNOWN
from eth_pipeline.models.figures.report import Estimate, EvaluationReport, HorizonReport
from eth_pipeline.settings import GateSettings, Phase

BOTH: tuple[Phase, ...] = ("paper", "live")
LIVE: tuple[Phase, ...] = ("live",)
MIN_TRADES = 100
_ALPHA = 0.05


def evaluate_gates(
    report: EvaluationReport,
    *,
    settings: GateSettings,
    provenance: str,
    champion_comparison: Estimate | None,
    champion_fingerprint: str | None = None,
) -> tuple[GateResult, ...]:
    """Every gate, always all of them, in a fixed order.

    Args:
        provenance: origin of the training data.
        champion_comparison: paired AUC difference, candidate minus champion, on the same rows that neither has
            trained on; None where there is no champion.
        champion_fingerprint: the bundle in production; with a champion and no comparison the candidate fails.
    """
    nearest = min(report.horizons, key=lambda horizon: horizon.horizon_hours)
    return (
        _floor("n_samples", report.oof_rows, settings.min_samples),
        _floor("validation_auc", report.validation_auc, settings.min_validation_auc),
        _floor("test_auc", report.test_auc, settings.min_test_auc),
        _floor("oof_auc", report.oof_auc, settings.min_oof_auc),
        _ceiling("oof_test_gap", abs(report.oof_auc - report.test_auc), settings.max_oof_test_gap),
        _floor("coverage_mean", report.coverage_mean, settings.min_coverage_mean),
        _floor("coverage_core", report.coverage_core, settings.min_coverage_core),
        _ceiling(
            "calibration_error", nearest.calibration_error, settings.max_calibration_error, hours=nearest.horizon_hours
        ),
        _lower_bound("beats_volatility", nearest.auc_minus_volatility, 0.0, hours=nearest.horizon_hours),
        _lower_bound("beats_chance", nearest.auc, 0.5, hours=nearest.horizon_hours),
        _deflated(nearest, tries=report.tries),
        _believable(report, limit=settings.max_believable_auc),
        _parity(report),
        _not_worse(
            champion_comparison, allowed_loss=settings.max_champion_loss, champion_fingerprint=champion_fingerprint
        ),
        _pays(report),
        _provenance(provenance),
    )


def deflated_lower_bound(estimate: Estimate, *, tries: int) -> float | None:
    """Lower bound of `estimate` after `tries` configurations were tried on the same history.

    Bonferroni: with m tries each of them may err with probability 0.05 / m. The distance from the value to its
    95 % lower bound is widened by the ratio of the normal quantiles,

        low_m = value - (value - low) * z(1 - 0.05 / (2 m)) / z(1 - 0.05 / 2),

    so that one try gives the bootstrap bound itself. Conservative where the tries resemble each other.
    Source: O. J. Dunn, Multiple Comparisons among Means, JASA 56 (1961).
    """
    if estimate.value is None or estimate.low is None:
        return None
    normal = NormalDist()
    widening = normal.inv_cdf(1 - _ALPHA / (2 * max(1, tries))) / normal.inv_cdf(1 - _ALPHA / 2)
    return estimate.value - (estimate.value - estimate.low) * widening


def _gate(
    name: str,
    value: float | str | None,
    threshold: float | str | None,
    passed: bool,
    reason: str,
    required_for: tuple[Phase, ...] = BOTH,
) -> GateResult:
    recorded = None if isinstance(value, float) and not math.isfinite(value) else value
    return GateResult(
        name=name, value=recorded, threshold=threshold, passed=passed, required_for=required_for, reason=reason
    )


def _verdict(name: str, *, passed: bool, **figures: object) -> str:
    words = wording.GATES[name]
    return (words.passed if passed else words.failed)(**figures)


def _floor(name: str, value: float, floor: float) -> GateResult:
    passed = value >= floor
    return _gate(name, value, floor, passed, _verdict(name, passed=passed, value=value, floor=floor))


def _ceiling(name: str, value: float, ceiling: float, **where: int) -> GateResult:
    passed = value <= ceiling
    return _gate(name, value, ceiling, passed, _verdict(name, passed=passed, value=value, ceiling=ceiling, **where))


def _lower_bound(name: str, estimate: Estimate, above: float, *, hours: int) -> GateResult:
    if estimate.value is None or estimate.low is None:
        return _gate(name, None, above, False, wording.UNKNOWN[name](hours=hours))
    passed = estimate.low > above
    reason = _verdict(name, passed=passed, hours=hours, interval=_interval(estimate), above=above)
    return _gate(name, estimate.low, above, passed, reason)


def _deflated(horizon: HorizonReport, *, tries: int) -> GateResult:
    name, bound = "deflated", deflated_lower_bound(horizon.auc, tries=tries)
    if bound is None:
        return _gate(name, None, 0.5, False, wording.UNKNOWN[name]())
    passed = bound > 0.5
    reason = _verdict(
        name,
        passed=passed,
        tries=tries,
        hours=horizon.horizon_hours,
        interval=_interval(horizon.auc),
        bound=bound,
    )
    return _gate(name, bound, 0.5, passed, reason)


def _believable(report: EvaluationReport, *, limit: float) -> GateResult:
    figures = {wording.OUT_OF_FOLD(): report.oof_auc, wording.NEWEST_ROWS(): report.test_auc}
    for horizon in report.horizons:
        if horizon.auc.value is not None:
            figures[wording.AT_HORIZON(hours=horizon.horizon_hours)] = horizon.auc.value
    where, highest = max(figures.items(), key=lambda item: item[1])
    reason = _verdict("auc_believable", passed=not highest > limit, value=highest, where=where, limit=limit)
    return _gate("auc_believable", highest, limit, highest <= limit, reason)


def _parity(report: EvaluationReport) -> GateResult:
    parity = report.parity
    passed = parity.passed and parity.max_abs_difference <= parity.tolerance
    reason = _verdict(
        "onnx_parity",
        passed=passed,
        difference=parity.max_abs_difference,
        rows=parity.rows,
        at_thresholds=parity.rows_at_thresholds,
        tolerance=parity.tolerance,
    )
    return _gate("onnx_parity", parity.max_abs_difference, parity.tolerance, passed, reason)


def _not_worse(comparison: Estimate | None, *, allowed_loss: float, champion_fingerprint: str | None) -> GateResult:
    name, threshold = "not_worse_than_champion", -allowed_loss
    if comparison is None and champion_fingerprint is None:
        return _gate(name, None, threshold, True, wording.NO_CHAMPION())
    if comparison is None or comparison.value is None or comparison.low is None:
        rival = champion_fingerprint[:12] if champion_fingerprint else None
        reason = wording.NOT_COMPARED(rival=rival) if rival else wording.NOT_COMPARED_UNNAMED()
        return _gate(name, None, threshold, False, reason)
    passed = comparison.low >= threshold
    reason = _verdict(name, passed=passed, interval=_interval(comparison), floor=threshold)
    return _gate(name, comparison.low, threshold, passed, reason)


def _pays(report: EvaluationReport) -> GateResult:
    name = "pays_after_costs"
    judged = [h for h in report.horizons if h.trades >= MIN_TRADES and h.net_bps_per_trade.low is not None]
    if not judged:
        most = max(h.trades for h in report.horizons)
        return _gate(name, None, 0.0, False, wording.UNKNOWN[name](needed=MIN_TRADES, most=most), LIVE)
    best = max(judged, key=lambda h: h.net_bps_per_trade.low or -math.inf)
    low = best.net_bps_per_trade.low
    passed = low is not None and low > 0
    reason = _verdict(
        name,
        passed=passed,
        count=len(judged),
        hours=best.horizon_hours,
        interval=_interval(best.net_bps_per_trade, digits=1),
        trades=best.trades,
    )
    return _gate(name, low, 0.0, passed, reason, LIVE)


def _provenance(provenance: str) -> GateResult:
    passed = provenance == "binance"
    reason = _verdict("provenance", passed=passed, provenance=provenance)
    return _gate("provenance", provenance, "binance", passed, reason, LIVE)


def _interval(estimate: Estimate, *, digits: int = 4) -> str:
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return UNKNOWN()
    return f"{estimate.value:.{digits}f} [{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]"
