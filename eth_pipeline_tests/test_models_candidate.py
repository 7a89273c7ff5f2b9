"""Tests of eth_pipeline.models.candidate and .evaluation: skill is found where it is, and only there."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import onnxruntime
import polars as pl
import pytest

from eth_pipeline.models.calibration import Calibration
from eth_pipeline.models.candidate import Candidate, Scrutiny, train_candidate
from eth_pipeline.models.dataset import TrainingSet
from eth_pipeline.models.figures.evaluation import primary_horizon_hours, verdict
from eth_pipeline.models.figures.horizon_figures import Rivals, horizon_report
from eth_pipeline.models.figures.metrics import auc
from eth_pipeline.models.figures.pnl import daily_pnl
from eth_pipeline.models.figures.report import Estimate, EvaluationReport
from eth_pipeline.models.trees.boosting import Boosting
from eth_pipeline.models.walk_forward import walk_forward
from eth_pipeline.registry.promotions.gates import evaluate_gates
from eth_pipeline.settings import load_settings
from eth_pipeline_tests.planted_history import QUICK, SMALL, VOLATILITY, planted_history


def trained(data: TrainingSet) -> Candidate:
    return train_candidate(data, Boosting(QUICK), settings=SMALL, tries=3)


@pytest.fixture(scope="module")
def skilled_data() -> TrainingSet:
    return planted_history(6_000, strength=0.25, seed=1)


@pytest.fixture(scope="module")
def skilled(skilled_data: TrainingSet) -> Candidate:
    return trained(skilled_data)


@pytest.fixture(scope="module")
def unskilled() -> Candidate:
    return trained(planted_history(6_000, strength=0.0, seed=2))


def test_a_planted_signal_is_found_and_beats_its_baselines(skilled: Candidate) -> None:
    report = skilled.report.horizon(5)
    assert report.auc.low is not None
    assert report.auc.low > 0.55
    assert report.auc_minus_volatility.low is not None
    assert report.auc_minus_volatility.low > 0
    assert report.log_loss < report.log_loss_constant
    assert report.calibration_error < 0.06
    assert report.decile_spread_bps.low is not None
    assert report.decile_spread_bps.low > 0
    assert "Better than its baselines at 5 h" in skilled.report.verdict
    assert max(skilled.report.importance, key=lambda name: skilled.report.importance[name]) == "skill"


def test_a_random_walk_gives_an_interval_around_one_half_and_no_trades(unskilled: Candidate) -> None:
    for report in unskilled.report.horizons:
        assert report.auc.low is not None
        assert report.auc.high is not None
        assert report.auc.low <= 0.5 <= report.auc.high
    assert "No better than a coin at 5 h" in unskilled.report.verdict
    assert "it never acts" in unskilled.report.verdict


def test_shuffled_labels_leave_nothing_to_find(skilled_data: TrainingSet) -> None:
    """The reviewed system reported .82 on validation where shuffled labels gave .84."""
    order = np.random.default_rng(5).permutation(len(skilled_data.decision_time))
    shuffled = {
        h: replace(target, up=target.up[order], forward_return=target.forward_return[order])
        for h, target in skilled_data.targets.items()
    }
    report = trained(replace(skilled_data, targets=shuffled)).report
    of_five_hours = report.horizon(5)
    for estimate in (of_five_hours.auc, of_five_hours.cost_label.auc, of_five_hours.by_year["2022"].auc):
        assert estimate.low is not None
        assert estimate.high is not None
        assert estimate.low <= 0.5 <= estimate.high
    assert {"oof_auc", "beats_chance", "beats_volatility", "deflated", "pays_after_costs"} <= refused_by(report)


def refused_by(report: EvaluationReport) -> set[str]:
    """Names of the promotion gates that fail under the default settings, of both phases."""
    gates = evaluate_gates(
        report,
        settings=load_settings().gates,
        provenance=report.provenance,
        champion_comparison=None,
        champion_fingerprint=None,
    )
    return {gate.name for gate in gates if not gate.passed}


def test_a_random_walk_is_refused_and_its_cost_label_forecast_is_a_coin(unskilled: Candidate) -> None:
    assert {"oof_auc", "beats_chance", "beats_volatility", "deflated", "pays_after_costs"} <= refused_by(
        unskilled.report
    )
    for report in unskilled.report.horizons:
        estimate = report.cost_label.auc
        assert estimate.low is not None
        assert estimate.high is not None
        assert estimate.low <= 0.5 <= estimate.high
        assert report.pnl.sharpe.value is None, "it never acts"
        assert report.pnl.deflated_sharpe is None


def test_permuting_finds_the_planted_feature_and_nothing_in_a_random_walk(
    skilled: Candidate, unskilled: Candidate
) -> None:
    for candidate, present in ((skilled, True), (unskilled, False)):
        permutation = candidate.report.permutation
        assert permutation is not None
        skill = next((each.drop for each in permutation.drops if each.name == "skill"), None)
        assert (skill is not None and skill.low is not None and skill.low > 0) == present


def test_skill_that_pays_has_a_sharpe_ratio_that_more_tries_deflate() -> None:
    data = planted_history(6_000, strength=0.45, seed=4, horizons_hours=(5,))
    cheap = SMALL.model_copy(update={"round_trip_cost_bps": 2.0})
    walk = walk_forward(data, Boosting(QUICK), settings=cheap, volatility_feature=VOLATILITY)
    found = {
        tries: horizon_report(walk.oof, horizon_hours=5, settings=cheap, rivals=Rivals(tries=tries)).pnl
        for tries in (1, 1_000)
    }
    assert found[1].sharpe.low is not None
    assert found[1].sharpe.low > 0
    assert found[1].deflated_sharpe is not None
    assert found[1_000].deflated_sharpe is not None
    assert found[1].deflated_sharpe > 0.95
    assert found[1_000].deflated_sharpe < found[1].deflated_sharpe


def test_the_report_survives_json_whole(skilled: Candidate, unskilled: Candidate) -> None:
    """NaN becomes null in JSON, so a report that holds one does not come back as it was."""
    for candidate in (skilled, unskilled):
        assert EvaluationReport.model_validate_json(candidate.report.model_dump_json()) == candidate.report


def test_a_candidate_is_judged_beside_the_last_champion_and_the_earlier_tries() -> None:
    data = planted_history(4_000, strength=0.3, seed=8, horizons_hours=(5,))
    first = trained(data)
    series = daily_pnl(first.oof, round_trip_cost_bps=14.0)
    earlier = pl.concat([series.with_columns(try_id=pl.lit(name)) for name in ("a", "b")])
    scrutiny = Scrutiny(
        champion=first.oof, tried=earlier, families={"skill": "planted", "noise_0": "noise"}, permutation_windows=1
    )
    found = train_candidate(data, Boosting(QUICK), settings=SMALL, tries=3, scrutiny=scrutiny).report
    assert found.horizon(5).champion is not None
    assert found.horizon(5).champion.auc_minus_champion.value == 0.0
    assert found.horizon(5).pnl.tries_compared == 3
    assert found.permutation is not None
    assert found.permutation.windows == 1
    assert {each.name for each in found.permutation.drops if each.kind == "family"} == {"planted", "noise"}
    without = train_candidate(data, Boosting(QUICK), settings=SMALL, tries=3, scrutiny=Scrutiny(permutation_windows=0))
    assert without.report.permutation is None
    assert without.report.horizon(5).champion is None


def test_a_leaky_feature_looks_too_good(skilled_data: TrainingSet) -> None:
    """Tomorrow's return plus noise must show up as an AUC above 0.60, which the promotion gates distrust."""
    random = np.random.default_rng(6)
    leak = skilled_data.targets[5].forward_return + random.normal(0, 0.02, len(skilled_data.decision_time))
    features = skilled_data.features.copy()
    features[:, 2] = leak
    report = trained(replace(skilled_data, features=features)).report
    assert report.oof_auc > 0.60
    assert "auc_believable" in refused_by(report)
    assert report.permutation is not None
    worst = next(each for each in report.permutation.drops if each.kind == "feature")
    assert worst.name == skilled_data.feature_names[2], "and what is lost without it says where to look"


def test_the_report_counts_out_of_fold_rows_only(skilled: Candidate) -> None:
    report = skilled.report
    assert report.oof_rows == 6_000 - 2_400 == report.horizon(5).rows
    assert report.folds == 3
    assert report.tries == 3
    rows = skilled.oof.filter(pl.col("horizon_hours") == 5).sort("decision_time")
    score, up = rows["probability"].to_numpy(), rows["up"].to_numpy()
    assert report.oof_auc == pytest.approx(auc(score, up))
    assert report.oof_auc == report.horizon(5).auc.value
    assert report.test_auc == pytest.approx(auc(score[-900:], up[-900:]))
    assert report.first_decision_time == rows["decision_time"][0]
    assert report.horizon(5).auc_by_year.keys() == {"2022"}
    assert report.coverage_by_feature["noise_0"] == pytest.approx(0.9, abs=0.03)


def test_the_exported_models_give_calibrated_probabilities(skilled_data: TrainingSet, skilled: Candidate) -> None:
    assert skilled.report.parity.passed
    for model in skilled.models:
        session = onnxruntime.InferenceSession(model.onnx, providers=["CPUExecutionProvider"])
        raw = session.run([model.output_name], {model.input_name: skilled_data.features})[0]
        assert raw.shape == (6_000,)
        calibrated = Calibration(model.calibration_slope, model.calibration_intercept).apply(raw)
        assert auc(calibrated, skilled_data.targets[model.horizon_hours].up) > 0.55
        assert model.short_threshold < model.long_threshold


def test_the_candidate_says_what_it_was_made_of(skilled_data: TrainingSet, skilled: Candidate) -> None:
    assert [model.horizon_hours for model in skilled.models] == [5, 12]
    assert skilled.algorithm == "lightgbm"
    assert skilled.training_digest == skilled_data.digest()
    newest = skilled_data.targets[12].label_end.max().astype("datetime64[us]").item()
    assert skilled.trained_until == newest.replace(tzinfo=UTC)
    for name, bounds in zip(skilled.feature_names, skilled.feature_bounds, strict=True):
        assert bounds is not None
        assert bounds[0] < np.nanmedian(skilled_data.column(name)) < bounds[1]


def test_a_feature_that_was_never_there_has_no_bounds_and_no_coverage() -> None:
    data = planted_history(4_000, strength=0.2, seed=7, horizons_hours=(5,))
    data.features[:, 4] = np.nan
    candidate = trained(data)
    assert candidate.feature_bounds[4] is None
    assert candidate.report.coverage_by_feature["noise_2"] == 0.0


def test_training_twice_gives_the_same_files() -> None:
    """A candidate must be rebuildable from its data version and its seed."""
    data = planted_history(4_000, strength=0.2, seed=8, horizons_hours=(5,))
    one, two = trained(data), trained(data)
    assert [model.onnx for model in one.models] == [model.onnx for model in two.models]
    timeless = {"parity": {"p50_milliseconds"}}
    assert one.report.model_dump(exclude=timeless) == two.report.model_dump(exclude=timeless)


def test_the_headline_horizon_is_five_hours_or_the_shortest() -> None:
    assert primary_horizon_hours((5, 12, 24)) == 5
    assert primary_horizon_hours((24, 12)) == 12


@pytest.mark.parametrize(
    ("changed", "trades", "said"),
    [
        ({"auc": Estimate(value=0.51, low=0.49, high=0.53)}, 0, "No better than a coin"),
        ({"auc": Estimate(value=None, low=None, high=None)}, 0, "Too few rows"),
        ({"auc_minus_volatility": Estimate(value=0.01, low=-0.01, high=0.03)}, 0, "Not proven better than volatility"),
        ({"net_bps_per_trade": Estimate(value=5.0, low=1.0, high=9.0)}, 500, "it pays"),
        ({"net_bps_per_trade": Estimate(value=5.0, low=-1.0, high=9.0)}, 500, "not proven to pay"),
        ({"net_bps_per_trade": Estimate(value=-5.0, low=-9.0, high=-1.0)}, 500, "it does not pay"),
        ({"net_bps_per_trade": Estimate(value=None, low=None, high=None)}, 20, "too few"),
    ],
)
def test_the_verdict_is_plain(skilled: Candidate, changed: dict[str, Estimate], trades: int, said: str) -> None:
    report = skilled.report.horizon(5).model_copy(update={**changed, "trades": trades})
    assert said in verdict(report, round_trip_cost_bps=14.0)


def test_the_instants_of_the_report_are_utc(skilled: Candidate) -> None:
    assert skilled.report.last_decision_time.tzinfo is not None
    assert skilled.report.last_decision_time > datetime(2022, 4, 1, tzinfo=UTC)
