"""Tests of eth_pipeline.models.networks.lstm, tft, fitted and export: what both networks promise."""

import pickle
import subprocess
import sys
from dataclasses import fields, replace

import numpy as np
import onnx
import onnxruntime
import pytest

from eth_pipeline.errors import ContractViolation, ParityFailed
from eth_pipeline.models.algorithms import LSTM, TFT, forecaster_named
from eth_pipeline.models.dataset import TrainingSet
from eth_pipeline.models.figures.bootstrap import WeeklyResamples
from eth_pipeline.models.figures.metrics import auc
from eth_pipeline.models.forecaster import Forecaster
from eth_pipeline.models.networks.fitted import FittedNetwork
from eth_pipeline.models.networks.parameters import LstmParameters, TftParameters
from eth_pipeline.models.networks.tft import interpret
from eth_pipeline.models.networks.windows import raw_windows
from eth_pipeline.models.parity import check_parity
from eth_pipeline.settings import NetworkSettings
from eth_pipeline_tests.planted_sequence import (
    HORIZONS,
    SMALL_LSTM,
    SMALL_TFT,
    folds_of,
    planted_sequence,
    poisoned,
)

BOTH = pytest.mark.parametrize("forecaster", [SMALL_LSTM, SMALL_TFT], ids=["lstm", "tft"])
EACH = {horizon: np.arange(300) for horizon in HORIZONS}
Networks = dict[str, FittedNetwork]


@pytest.fixture(scope="module")
def data() -> TrainingSet:
    return planted_sequence(strength=3.0, seed=3)


@pytest.fixture(scope="module")
def learnt(data: TrainingSet) -> Networks:
    return {each.algorithm: each.fit(data, folds_of(data), seed=1) for each in (SMALL_LSTM, SMALL_TFT)}


def weights(model: FittedNetwork) -> bytes:
    """Every number that the answers depend on."""
    numbers = [*model.inputs.state_dict().values(), *(w for body in model.bodies for w in body.state_dict().values())]
    return b"".join(number.numpy().tobytes() for number in numbers)


def quickly(forecaster: Forecaster, data: TrainingSet, *, seed: int = 1) -> FittedNetwork:
    return forecaster.refit(data, EACH, effort=dict.fromkeys(HORIZONS, 1), seed=seed)


def with_schedule(forecaster: Forecaster, **changed: int | float) -> Forecaster:
    parameters = forecaster.parameters
    return replace(forecaster, parameters=replace(parameters, schedule=replace(parameters.schedule, **changed)))


@BOTH
def test_a_planted_sequence_is_learnt_for_every_horizon(
    data: TrainingSet, learnt: Networks, forecaster: Forecaster
) -> None:
    """The signal is two hours old: the decision row alone holds nothing of it."""
    folds = folds_of(data)
    probability = learnt[forecaster.algorithm].probability(data, {h: fold.test for h, fold in folds.items()})
    for horizon, fold in folds.items():
        up = data.targets[horizon].up[fold.test]
        assert auc(data.features[fold.test, 0].astype(np.float64), up) == pytest.approx(0.5, abs=0.05)
        assert auc(probability[horizon], up) > 0.7


@BOTH
def test_importance_names_the_feature_that_speaks_and_sums_to_one(
    data: TrainingSet, learnt: Networks, forecaster: Forecaster
) -> None:
    importance = learnt[forecaster.algorithm].importance()
    assert set(importance) == set(data.feature_names)
    assert sum(importance.values()) == pytest.approx(1.0)
    if forecaster is SMALL_LSTM:  # a variable of no use may keep a weight in the TFT and say nothing by it
        assert max(importance, key=lambda name: importance[name]) == "impulse"


@BOTH
def test_random_targets_are_not_learnt(forecaster: Forecaster) -> None:
    data = planted_sequence(5_000, strength=0.0, seed=7)
    folds = folds_of(data)
    short = with_schedule(forecaster, max_epochs=2, batch_rows=256)
    probability = short.fit(data, folds, seed=1).probability(data, {h: fold.test for h, fold in folds.items()})
    for horizon, fold in folds.items():
        up = data.targets[horizon].up[fold.test]
        draws = WeeklyResamples.of(data.decision_time[fold.test], samples=200, seed=1)
        found = draws.estimate(auc(probability[horizon], up), draws.auc(probability[horizon], up))
        assert found.low is not None
        assert found.high is not None
        assert found.low < 0.5 < found.high


@BOTH
def test_no_target_outside_the_fold_is_read(data: TrainingSet, forecaster: Forecaster) -> None:
    """Targets of all other rows are flipped or missing; the model must be the same to the byte."""
    folds = folds_of(data)
    given = np.unique(np.concatenate([fold.learn for fold in folds.values()]))
    short = with_schedule(forecaster, max_epochs=1)
    sets = (data, poisoned(data, but=given), poisoned(data, but=given[::2]))
    before, after, hurt = (weights(short.fit(each, folds, seed=1)) for each in sets)
    assert before == after
    assert before != hurt


@BOTH
def test_features_of_later_rows_teach_nothing(data: TrainingSet, forecaster: Forecaster) -> None:
    changed = replace(data, features=data.features.copy())
    changed.features[300:] = 42.0
    assert weights(quickly(forecaster, changed)) == weights(quickly(forecaster, data))


@BOTH
def test_the_same_seed_gives_the_same_model_to_the_byte(data: TrainingSet, forecaster: Forecaster) -> None:
    one, again, other = (quickly(forecaster, data, seed=seed) for seed in (1, 1, 2))
    assert weights(one) == weights(again) != weights(other)
    assert one.to_onnx()[5].onnx == again.to_onnx()[5].onnx


@BOTH
def test_the_export_equals_its_model_on_holes_extremes_and_real_windows(
    data: TrainingSet, learnt: Networks, forecaster: Forecaster
) -> None:
    model = learnt[forecaster.algorithm]
    exports = model.to_onnx()
    probes = model.probes(data, sample=np.arange(1_000), seed=4)
    report = check_parity(exports, lambda x, h: model.probability_of(x, horizon_hours=h), probes)
    assert report.passed
    matrix = probes[5].matrix
    assert np.isnan(matrix).all(axis=(1, 2)).any()
    assert np.isinf(matrix).any()
    assert (np.abs(matrix[np.isfinite(matrix)]) > 1e38).any()
    halved = {h: lambda x, h: 0.5 * model.probability_of(x, horizon_hours=h) for h in exports}
    with pytest.raises(ParityFailed):
        check_parity(exports, halved[5], probes)


@BOTH
def test_one_file_answers_every_horizon_and_any_number_of_rows(
    data: TrainingSet, learnt: Networks, forecaster: Forecaster
) -> None:
    model = learnt[forecaster.algorithm]
    exports = model.to_onnx()
    assert exports[5].onnx is exports[12].onnx
    onnx.checker.check_model(onnx.load_from_string(exports[5].onnx), full_check=True)
    session = onnxruntime.InferenceSession(exports[5].onnx, providers=["CPUExecutionProvider"])
    assert [output.name for output in session.get_outputs()] == ["probability_up_5h", "probability_up_12h"]
    assert session.get_inputs()[0].shape == ["rows", model.window_hours, len(data.feature_names)]
    windows = raw_windows(data, np.arange(90), window_hours=model.window_hours)
    batch = session.run([exports[12].output_name], {exports[12].input_name: windows})[0]
    single = [session.run([exports[12].output_name], {exports[12].input_name: w[None]})[0][0] for w in windows]
    np.testing.assert_allclose(single, batch, atol=1e-6)


@BOTH
def test_scoring_rows_equals_scoring_their_raw_windows(
    data: TrainingSet, learnt: Networks, forecaster: Forecaster
) -> None:
    """Missing hours and the beginning of history included; a row's answer does not depend on the rows beside it."""
    model = learnt[forecaster.algorithm]
    rows = np.arange(0, 300)
    windows = raw_windows(data, rows, window_hours=model.window_hours)
    for horizon in HORIZONS:
        expected = model.probability_of(windows, horizon_hours=horizon)
        np.testing.assert_allclose(model.probability(data, {horizon: rows})[horizon], expected, atol=1e-6)
        np.testing.assert_allclose(model.probability(data, {horizon: rows[7:8]})[horizon], expected[7:8], atol=1e-6)


@BOTH
def test_effort_is_one_number_of_epochs_and_a_refit_takes_it(
    data: TrainingSet, learnt: Networks, forecaster: Forecaster
) -> None:
    """All horizons share one body, so they share its epochs; different wishes are met in the middle."""
    found = learnt[forecaster.algorithm].effort
    assert set(found) == set(HORIZONS)
    assert len(set(found.values())) == 1
    assert 1 <= found[5] <= 8
    assert dict(forecaster.refit(data, EACH, effort={5: 1, 12: 3}, seed=1).effort) == {5: 2, 12: 2}


@BOTH
def test_early_stopping_reads_validation(data: TrainingSet, learnt: Networks, forecaster: Forecaster) -> None:
    """Opposed validation rows make the epochs worse as soon as something is learnt."""
    validated = np.unique(np.concatenate([fold.validation for fold in folds_of(data).values()]))
    others = np.setdiff1d(np.arange(len(data.decision_time)), validated)
    turned = poisoned(data, but=others)
    stopped = forecaster.fit(turned, folds_of(data), seed=1).effort[5]
    assert stopped < learnt[forecaster.algorithm].effort[5]


@BOTH
def test_members_differ_and_are_averaged_in_logits(data: TrainingSet, forecaster: Forecaster) -> None:
    model = quickly(with_schedule(forecaster, members=2), data)
    alone, second = (quickly(forecaster, data, seed=seed) for seed in (1, 1_001))
    rows = np.arange(100)
    logits = [np.log(p / (1 - p)) for p in (m.probability(data, {5: rows})[5] for m in (model, alone, second))]
    assert np.abs(logits[1] - logits[2]).max() > 1e-3
    np.testing.assert_allclose(logits[0], (logits[1] + logits[2]) / 2, atol=1e-5)


@BOTH
def test_a_fitted_network_travels_between_processes(learnt: Networks, forecaster: Forecaster) -> None:
    """Vintages are trained in worker processes and sent back."""
    model = learnt[forecaster.algorithm]
    assert weights(pickle.loads(pickle.dumps(model))) == weights(model)


LSTM_KNOBS = {"window_hours": 6, "features": 2, "clip": 0.5, "hidden": 6, "layers": 2, "dropout": 0.4}
TFT_KNOBS = {
    "window_hours": 6,
    "features": 2,
    "clip": 0.5,
    "width": 4,
    "heads": 4,
    "dropout": 0.4,
    "levels": (0.5,),
    "quantile_weight": 5.0,
}


@pytest.mark.parametrize(
    ("forecaster", "name", "value"),
    [(SMALL_LSTM, *knob) for knob in LSTM_KNOBS.items()] + [(SMALL_TFT, *knob) for knob in TFT_KNOBS.items()],
    ids=[f"lstm-{name}" for name in LSTM_KNOBS] + [f"tft-{name}" for name in TFT_KNOBS],
)
def test_every_knob_changes_the_model(data: TrainingSet, forecaster: Forecaster, name: str, value: object) -> None:
    """Knobs that are declared and unused were found in published example projects."""
    changed = replace(forecaster, parameters=replace(forecaster.parameters, **{name: value}))
    assert weights(quickly(changed, data)) != weights(quickly(forecaster, data))
    assert changed.digest() != forecaster.digest()


def test_no_knob_is_left_untried() -> None:
    assert {field.name for field in fields(LstmParameters)} == {*LSTM_KNOBS, "schedule"}
    assert {field.name for field in fields(TftParameters)} == {*TFT_KNOBS, "schedule"}


@pytest.mark.parametrize(("name", "usual"), [(LSTM, LstmParameters()), (TFT, TftParameters())])
def test_settings_change_a_network_where_they_say_so_and_nowhere_else(
    name: str, usual: LstmParameters | TftParameters
) -> None:
    """A schedule built anew from the settings once took the TFT's step size and batch from it."""
    assert forecaster_named(name, cross_prefixes=()).parameters == usual
    changed = forecaster_named(name, cross_prefixes=(), networks=NetworkSettings(max_epochs=3, window_hours=6))
    expected = replace(usual, window_hours=6, schedule=replace(usual.schedule, max_epochs=3))
    assert changed.parameters == expected


def test_the_bounds_of_stopping_bind(data: TrainingSet) -> None:
    validated = np.unique(np.concatenate([fold.validation for fold in folds_of(data).values()]))
    turned = poisoned(data, but=np.setdiff1d(np.arange(len(data.decision_time)), validated))

    def epochs(of: TrainingSet, **changed: int) -> int:
        return with_schedule(SMALL_LSTM, **changed).fit(of, folds_of(of), seed=1).effort[5]

    assert epochs(data, max_epochs=2) <= 2 < epochs(data, max_epochs=5)
    assert epochs(turned, min_epochs=3, max_epochs=4) == 3


def test_why_a_tft_answered_is_told_by_variable_and_by_lag(data: TrainingSet, learnt: Networks) -> None:
    told = interpret(learnt["tft"], data, np.arange(1_700, 1_800))
    assert sum(told.variable_weights.values()) == pytest.approx(1.0, abs=1e-5)
    assert {"impulse", "day_sin", "day_cos", "funding_sin", "funding_cos", "distance"} <= set(told.variable_weights)
    for horizon in HORIZONS:
        assert told.attention_by_lag[horizon].shape == (5,)
        assert 0 < told.attention_by_lag[horizon].sum() <= 1.0
    assert told.attention_by_lag[5].sum() > told.attention_by_lag[12].sum()
    with pytest.raises(ContractViolation, match="attention"):
        interpret(learnt["lstm"], data, np.arange(3))


def test_naming_a_network_loads_no_torch() -> None:
    """Definitions name every algorithm; torch costs them seconds and hundreds of megabytes."""
    script = (
        "import sys; from eth_pipeline.models.networks.lstm import Lstm; "
        "from eth_pipeline.models.networks.tft import Tft; "
        "print(Lstm().digest() != Tft().digest(), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]
