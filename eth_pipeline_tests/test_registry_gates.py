"""Every gate fails alone on its own figure, says the figure, and nothing missing ever passes."""

import json
import re
from typing import Any

import pytest

from eth_pipeline.contracts.artifact import GateResult
from eth_pipeline.contracts.wording import coded, said
from eth_pipeline.models.figures.report import Estimate, EvaluationReport
from eth_pipeline.registry.promotions.gates import deflated_lower_bound, evaluate_gates
from eth_pipeline.settings import GateSettings
from eth_pipeline_tests.registry_maker import around, horizon, report
from eth_pipeline_tests.spoken_chinese import english_in

UNKNOWN = Estimate(value=None, low=None, high=None)
NAN = float("nan")


def judged(figures: EvaluationReport, **changes: Any) -> dict[str, GateResult]:
    arguments: dict[str, Any] = {
        "settings": GateSettings(),
        "provenance": figures.provenance,
        "champion_comparison": None,
    }
    return {gate.name: gate for gate in evaluate_gates(figures, **{**arguments, **changes})}


def failed(figures: EvaluationReport, **changes: Any) -> set[str]:
    return {name for name, gate in judged(figures, **changes).items() if not gate.passed}


def one_horizon(**changes: Any) -> EvaluationReport:
    return report(horizons=(horizon(5, **changes),))


def parity(**changes: Any) -> EvaluationReport:
    good = report()
    return good.model_copy(update={"parity": good.parity.model_copy(update=changes)})


ALONE: list[tuple[str, EvaluationReport, dict[str, Any], str]] = [
    ("n_samples", report(oof_rows=7_999), {}, "rows 7999 is below the floor 8000"),
    ("validation_auc", report(validation_auc=0.5299), {}, "validation AUC 0.5299 is below the floor 0.5300"),
    ("test_auc", report(test_auc=0.5199), {}, "newest out-of-fold rows 0.5199 is below"),
    ("oof_auc", report(oof_auc=0.5299), {}, "out-of-fold AUC 0.5299 is below"),
    (
        "oof_test_gap",
        report(oof_auc=0.535, test_auc=0.565),
        {"settings": GateSettings(max_oof_test_gap=0.02)},
        "0.0300 exceeds 0.0200",
    ),
    ("coverage_mean", report(coverage_mean=0.89), {}, "mean feature coverage 0.8900"),
    ("coverage_core", report(coverage_core=0.79), {}, "smallest core coverage 0.7900"),
    ("calibration_error", one_horizon(calibration_error=0.031), {}, "at 5 h 0.0310 exceeds 0.0300"),
    (
        "beats_volatility",
        one_horizon(auc_minus_volatility=around(0.005, half_width=0.01)),
        {},
        "0.0050 [-0.0050, 0.0150]; its lower bound does not lie above 0",
    ),
    ("auc_believable", one_horizon(auc=around(0.601, half_width=0.01)), {}, "a leak is likelier than skill"),
    ("onnx_parity", parity(max_abs_difference=2e-5), {}, "at most 2.00e-05 on 2000 rows"),
    ("onnx_parity", parity(passed=False), {}, "the parity check failed"),
    (
        "not_worse_than_champion",
        report(),
        {"champion_comparison": around(0.001, half_width=0.008)},
        "0.0010 [-0.0070, 0.0090]; its lower bound is below",
    ),
    (
        "not_worse_than_champion",
        report(),
        {"champion_fingerprint": "ab" * 32},
        "abababababab was not compared",
    ),
    ("not_worse_than_champion", report(), {"champion_comparison": UNKNOWN}, "was not compared"),
    ("pays_after_costs", one_horizon(net_bps_per_trade=around(4.0, half_width=5.0)), {}, "4.0 [-1.0, 9.0] bps"),
    ("pays_after_costs", one_horizon(trades=99), {}, "no horizon has 100 trades"),
    ("pays_after_costs", one_horizon(net_bps_per_trade=UNKNOWN), {}, "profit is not shown"),
    ("provenance", report(provenance="simulated"), {}, "trained on simulated data; live may only"),
    (
        "deflated",
        one_horizon(auc=around(0.515, half_width=0.012)).model_copy(update={"tries": 20}),
        {},
        "after 20 tries",
    ),
]


@pytest.mark.parametrize(("name", "figures", "changes", "reason"), ALONE)
def test_every_verdict_is_said_in_chinese(
    name: str, figures: EvaluationReport, changes: dict[str, Any], reason: str
) -> None:
    """The reason that is recorded stays English; who shows it says it again."""
    for gate in judged(figures, **changes).values():
        assert not re.search("[一-鿿]", gate.reason)
        assert english_in(said(gate.reason, "zh")) == [], gate.name
        assert english_in(coded(gate.name, "zh")) == []


@pytest.mark.parametrize("figures", [one_horizon(auc=UNKNOWN), one_horizon(auc_minus_volatility=UNKNOWN)])
def test_what_could_not_be_estimated_is_said_in_chinese(figures: EvaluationReport) -> None:
    reasons = [gate.reason for gate in judged(figures).values() if "could not be estimated" in gate.reason]
    assert reasons
    assert [english_in(said(reason, "zh")) for reason in reasons] == [[]] * len(reasons)


def test_a_good_candidate_passes_every_gate() -> None:
    gates = judged(report(tries=21), champion_comparison=around(0.004, half_width=0.002), champion_fingerprint="c" * 64)
    assert all(gate.passed for gate in gates.values()), [g.reason for g in gates.values() if not g.passed]
    assert all(gate.reason for gate in gates.values())


@pytest.mark.parametrize(("name", "figures", "changes", "words"), ALONE, ids=[f"{r[0]} {r[3][:24]}" for r in ALONE])
def test_each_gate_fails_alone_and_says_the_figure(
    name: str, figures: EvaluationReport, changes: dict[str, Any], words: str
) -> None:
    assert failed(figures, **changes) == {name}
    assert words in judged(figures, **changes)[name].reason


@pytest.mark.parametrize(
    ("figures", "names"),
    [
        (report(validation_auc=NAN), {"validation_auc"}),
        (report(test_auc=NAN), {"test_auc", "oof_test_gap"}),
        (report(coverage_mean=NAN), {"coverage_mean"}),
        (one_horizon(calibration_error=NAN), {"calibration_error"}),
        (one_horizon(auc=UNKNOWN), {"beats_chance", "deflated"}),
        (one_horizon(auc_minus_volatility=UNKNOWN), {"beats_volatility"}),
        (parity(max_abs_difference=NAN), {"onnx_parity"}),
    ],
)
def test_a_figure_that_is_missing_or_not_a_number_never_passes(figures: EvaluationReport, names: set[str]) -> None:
    """An evaluation that answered NaN once passed a gate written as `if auc < floor: refuse`."""
    assert names <= failed(figures)
    assert json.loads(judged(figures)[min(names)].model_dump_json())["value"] is None


def test_chance_is_not_beaten_by_an_interval_that_holds_one_half() -> None:
    assert "beats_chance" in failed(one_horizon(auc=around(0.509, half_width=0.01)))


def test_exactly_at_a_floor_passes_and_exactly_at_a_bound_does_not() -> None:
    assert "oof_auc" not in failed(report(oof_auc=0.53))
    assert "beats_volatility" in failed(one_horizon(auc_minus_volatility=around(0.01, half_width=0.01)))


def test_a_candidate_equal_to_the_champion_is_not_worse() -> None:
    assert not failed(report(), champion_comparison=Estimate(value=0.0, low=0.0, high=0.0))


def test_one_horizon_that_pays_is_enough() -> None:
    losing = around(-3.0, half_width=2.0)
    figures = report(horizons=(horizon(5, net_bps_per_trade=losing), horizon(24, trades=150)))
    gate = judged(figures)["pays_after_costs"]
    assert gate.passed
    assert gate.value == 4.0
    assert "24 h" in gate.reason


@pytest.mark.parametrize("name", ["pays_after_costs", "provenance"])
def test_profit_and_provenance_are_demanded_by_live_alone(name: str) -> None:
    gates = judged(report())
    assert gates[name].required_for == ("live",)
    assert all("paper" in gate.required_for for other, gate in gates.items() if other not in _LIVE_ONLY)
    assert all("live" in gate.required_for for gate in gates.values())


_LIVE_ONLY = ("pays_after_costs", "provenance")


def test_deflation_widens_with_the_tries_and_leaves_one_try_alone() -> None:
    """21 configurations tried on one test set: the best of them looks like skill by luck alone."""
    estimate = around(0.52, half_width=0.015)
    bounds = [deflated_lower_bound(estimate, tries=tries) for tries in (1, 2, 21, 1000)]
    assert bounds[0] == pytest.approx(estimate.low)
    assert bounds == sorted(bounds, reverse=True)  # type: ignore[type-var]  # none of them is None here
    # z(1 - 0.05/42) = 3.0381 and z(0.975) = 1.9600, from a normal table
    assert bounds[2] == pytest.approx(0.52 - 0.015 * 3.0381 / 1.9600, abs=1e-5)


# Not gates: stacking is off in this version, and the validity is written into the contract.
_NO_GATES = {"stacking_min_samples", "bundle_valid_days"}


@pytest.mark.parametrize("name", sorted(set(GateSettings.model_fields) - _NO_GATES))
def test_every_gate_setting_changes_a_verdict(name: str) -> None:
    """A knob that changes nothing is a lie in the configuration."""
    strict = 1e9 if name.startswith("min_") else -1e9
    compared = {"champion_comparison": around(0.004, half_width=0.002)}
    assert not failed(report(), **compared)
    assert failed(report(), settings=GateSettings(**{name: strict}), **compared)


def test_every_gate_is_recorded_with_its_threshold() -> None:
    gates = judged(report())
    assert set(gates) == {
        "n_samples", "validation_auc", "test_auc", "oof_auc", "oof_test_gap", "coverage_mean", "coverage_core",
        "calibration_error", "beats_volatility", "beats_chance", "deflated", "auc_believable", "onnx_parity",
        "not_worse_than_champion", "pays_after_costs", "provenance",
    }  # fmt: skip
    assert all(gate.threshold is not None for gate in gates.values())
