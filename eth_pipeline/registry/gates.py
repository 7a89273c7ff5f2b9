"""The promotion gates: each compares one figure of the evaluation report with one setting.

Belongs here: the verdict of every gate with its figure, threshold and sentence. Does not belong: computing the
figures (`models.metrics`) or combining the verdicts (`registry.decision`).

Gates about skill and soundness hold in both phases; net profit and provenance are demanded by live alone, and
reported in paper too. A figure that is missing or not a number never passes.
"""

import math
from statistics import NormalDist

from eth_pipeline.contracts.artifact import GateResult
from eth_pipeline.models.report import Estimate, EvaluationReport, HorizonReport
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
        _floor("n_samples", report.oof_rows, settings.min_samples, what="labelled out-of-fold rows", digits=0),
        _floor("validation_auc", report.validation_auc, settings.min_validation_auc, what="validation AUC"),
        _floor("test_auc", report.test_auc, settings.min_test_auc, what="AUC on the newest out-of-fold rows"),
        _floor("oof_auc", report.oof_auc, settings.min_oof_auc, what="out-of-fold AUC"),
        _ceiling(
            "oof_test_gap",
            abs(report.oof_auc - report.test_auc),
            settings.max_oof_test_gap,
            what="distance between out-of-fold and newest AUC",
        ),
        _floor("coverage_mean", report.coverage_mean, settings.min_coverage_mean, what="mean feature coverage"),
        _floor("coverage_core", report.coverage_core, settings.min_coverage_core, what="smallest core coverage"),
        _ceiling(
            "calibration_error",
            nearest.calibration_error,
            settings.max_calibration_error,
            what=f"calibration error at {nearest.horizon_hours} h",
        ),
        _lower_bound(
            "beats_volatility",
            nearest.auc_minus_volatility,
            0.0,
            what=f"AUC above volatility alone at {nearest.horizon_hours} h",
        ),
        _lower_bound("beats_chance", nearest.auc, 0.5, what=f"AUC at {nearest.horizon_hours} h"),
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


def _floor(name: str, value: float, floor: float, *, what: str, digits: int = 4) -> GateResult:
    passed = value >= floor
    verdict = "reaches" if passed else "is below"
    return _gate(name, value, floor, passed, f"{what} {value:.{digits}f} {verdict} the floor {floor:.{digits}f}")


def _ceiling(name: str, value: float, ceiling: float, *, what: str) -> GateResult:
    passed = value <= ceiling
    verdict = "stays within" if passed else "exceeds"
    return _gate(name, value, ceiling, passed, f"{what} {value:.4f} {verdict} {ceiling:.4f}")


def _lower_bound(name: str, estimate: Estimate, above: float, *, what: str) -> GateResult:
    if estimate.value is None or estimate.low is None:
        return _gate(name, None, above, False, f"{what} could not be estimated: too few rows")
    passed = estimate.low > above
    verdict = "lies above" if passed else "does not lie above"
    return _gate(
        name, estimate.low, above, passed, f"{what} is {_interval(estimate)}; its lower bound {verdict} {above:g}"
    )


def _deflated(horizon: HorizonReport, *, tries: int) -> GateResult:
    bound = deflated_lower_bound(horizon.auc, tries=tries)
    if bound is None:
        return _gate("deflated", None, 0.5, False, "the AUC could not be estimated: too few rows")
    passed = bound > 0.5
    verdict = "is still above" if passed else "is not above"
    return _gate(
        "deflated",
        bound,
        0.5,
        passed,
        f"after {tries} tries on this history the lower bound of the {horizon.horizon_hours} h AUC "
        f"{_interval(horizon.auc)} widens to {bound:.4f}, which {verdict} 0.5",
    )


def _believable(report: EvaluationReport, *, limit: float) -> GateResult:
    figures = {"out of fold": report.oof_auc, "on the newest rows": report.test_auc}
    figures |= {f"at {h.horizon_hours} h": h.auc.value for h in report.horizons if h.auc.value is not None}
    where, highest = max(figures.items(), key=lambda item: item[1])
    if highest > limit:
        reason = f"AUC {highest:.4f} {where} is above {limit:.4f}: a leak is likelier than skill; look for it first"
    else:
        reason = f"the highest AUC, {highest:.4f} {where}, is not above {limit:.4f}, beyond which a leak is likelier"
    return _gate("auc_believable", highest, limit, highest <= limit, reason)


def _parity(report: EvaluationReport) -> GateResult:
    parity = report.parity
    passed = parity.passed and parity.max_abs_difference <= parity.tolerance
    return _gate(
        "onnx_parity",
        parity.max_abs_difference,
        parity.tolerance,
        passed,
        f"ONNX and model differ by at most {parity.max_abs_difference:.2e} on {parity.rows} rows, "
        f"{parity.rows_at_thresholds} of them at split thresholds; {parity.tolerance:.2e} is allowed"
        + ("" if passed else ", and the parity check failed"),
    )


def _not_worse(comparison: Estimate | None, *, allowed_loss: float, champion_fingerprint: str | None) -> GateResult:
    name, threshold = "not_worse_than_champion", -allowed_loss
    if comparison is None and champion_fingerprint is None:
        return _gate(name, None, threshold, True, "there is no champion to compare with")
    if comparison is None or comparison.value is None or comparison.low is None:
        rival = champion_fingerprint[:12] if champion_fingerprint else "in production"
        return _gate(
            name, None, threshold, False, f"the champion {rival} was not compared on the same rows, so it is not beaten"
        )
    passed = comparison.low >= threshold
    verdict = "is not below" if passed else "is below"
    return _gate(
        name,
        comparison.low,
        threshold,
        passed,
        f"AUC against the champion on the same rows is {_interval(comparison)}; its lower bound {verdict} "
        f"{threshold:g}",
    )


def _pays(report: EvaluationReport) -> GateResult:
    judged = [h for h in report.horizons if h.trades >= MIN_TRADES and h.net_bps_per_trade.low is not None]
    if not judged:
        most = max(h.trades for h in report.horizons)
        reason = f"no horizon has {MIN_TRADES} trades beyond its thresholds (at most {most}): profit is not shown"
        return _gate("pays_after_costs", None, 0.0, False, reason, LIVE)
    best = max(judged, key=lambda h: h.net_bps_per_trade.low or -math.inf)
    low = best.net_bps_per_trade.low
    passed = low is not None and low > 0
    reason = (
        f"best of {len(judged)} horizons, {best.horizon_hours} h: {_interval(best.net_bps_per_trade, digits=1)} bps "
        f"net per trade over {best.trades} trades; its lower bound is {'above' if passed else 'not above'} zero"
    )
    return _gate("pays_after_costs", low, 0.0, passed, reason, LIVE)


def _provenance(provenance: str) -> GateResult:
    passed = provenance == "binance"
    reason = f"trained on {provenance} data" + ("" if passed else "; live may only run on the exchange's own history")
    return _gate("provenance", provenance, "binance", passed, reason, LIVE)


def _interval(estimate: Estimate, *, digits: int = 4) -> str:
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return "unknown"
    return f"{estimate.value:.{digits}f} [{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]"
