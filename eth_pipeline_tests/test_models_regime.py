"""Tests of eth_pipeline.models.sizing.regime and eth_pipeline.models.sizing.mixture."""

from dataclasses import replace

import numpy as np
import onnxruntime
import polars as pl
import pytest
from scipy.stats import norm

from eth_pipeline.errors import ContractViolation, ParityFailed
from eth_pipeline.models.dataset import HorizonTarget, TrainingSet
from eth_pipeline.models.parity import check_parity
from eth_pipeline.models.sizing.mixture import STATES, VOLATILITIES, FittedRegime, RegimeInput, fit_regime
from eth_pipeline.models.sizing.regime import REGIME_OOF_SCHEMA, TrainedRegime, regime_walk_forward, train_regime
from eth_pipeline.settings import TrainingSettings

HOUR = np.timedelta64(1, "h")
LEVELS = np.array([0.003, 0.007, 0.016])
SETTINGS = TrainingSettings(horizons_hours=(24,), refit_every_hours=1_500, min_train_hours=3_000, bootstrap_samples=100)
NAMES = ("noise", "realised_vol_24h", "realised_vol_168h", "efficiency_72h")


def planted_regimes(rows: int = 8_000, *, seed: int, persistence: float = 0.995) -> tuple[TrainingSet, np.ndarray]:
    """Three volatilities that last; at persistence 1/3 tomorrow's state knows nothing of today's."""
    random = np.random.default_rng(seed)
    state = np.empty(rows + 24, dtype=np.int64)
    state[0] = 1
    stays, others = random.random(rows + 24), random.integers(0, 3, rows + 24)
    for hour in range(1, rows + 24):
        state[hour] = state[hour - 1] if stays[hour] < persistence else others[hour]
    volatility = LEVELS[state[:rows]] * np.exp(0.15 * random.standard_normal((2, rows)))
    matrix = np.column_stack([random.standard_normal(rows), *volatility, random.uniform(-1, 1, rows)])
    decision_time = np.datetime64("2022-01-01", "us") + np.arange(rows) * HOUR
    path = np.concatenate([[0.0], np.cumsum(LEVELS[state] * random.standard_normal(rows + 24))])
    forward = path[24 : 24 + rows] - path[:rows]
    target = HorizonTarget((forward > 0).astype(np.float32), forward, forward, decision_time + 24 * HOUR)
    made = TrainingSet("ETHUSDT", "simulated", decision_time, matrix.astype(np.float32), NAMES, {24: target})
    return made, state[:rows]


@pytest.fixture(scope="module")
def data() -> TrainingSet:
    made = planted_regimes(seed=1)[0]
    made.features[::50, 1] = np.nan
    made.features[::70, 2] = np.nan
    return made


@pytest.fixture(scope="module")
def fitted(data: TrainingSet) -> FittedRegime:
    return fit_regime(data, np.arange(6_000))


@pytest.fixture(scope="module")
def trained(data: TrainingSet) -> TrainedRegime:
    return train_regime(data, settings=SETTINGS)


def test_planted_regimes_are_found_calmest_first() -> None:
    data, state = planted_regimes(seed=2)
    found = fit_regime(data, np.arange(6_000)).probability_of(data.features[6_000:]).argmax(axis=1)
    assert (found == state[6_000:]).mean() > 0.97


def test_the_states_foretell_the_next_day_when_they_last(trained: TrainedRegime) -> None:
    calm, normal, stressed = trained.report.states
    assert (calm.state, normal.state, stressed.state) == STATES
    assert calm.next_volatility.high < normal.next_volatility.low
    assert normal.next_volatility.high < stressed.next_volatility.low
    assert calm.absolute_return_bps.high < stressed.absolute_return_bps.low
    assert calm.mean_dwell_hours > 20
    assert sum(state.share for state in trained.report.states) == pytest.approx(1.0)
    assert trained.report.explained_share.low > 0.3
    assert dict(trained.oof.schema) == REGIME_OOF_SCHEMA


def test_the_states_know_nothing_of_a_market_without_memory() -> None:
    """Every hour draws its volatility anew: the next day's is then the same whatever the state."""
    data = planted_regimes(seed=3, persistence=0.0)[0]
    report = train_regime(data, settings=SETTINGS).report
    assert report.explained_share.value < 0.005
    assert report.states[0].mean_dwell_hours < 3
    assert report.states[0].next_volatility.high > report.states[2].next_volatility.low


def test_volatility_realised_afterwards_is_the_row_a_day_later_and_never_an_earlier_one(
    data: TrainingSet, trained: TrainedRegime
) -> None:
    holed = replace(
        data,
        decision_time=np.delete(data.decision_time, 5_000),
        features=np.delete(data.features, 5_000, axis=0),
        targets={24: HorizonTarget(*(np.delete(a, 5_000) for a in vars(data.targets[24]).values()))},
    )
    for made, oof in ((data, trained.oof), (holed, train_regime(holed, settings=SETTINGS).oof)):
        today = dict(zip(made.decision_time.tolist(), made.features[:, 1].tolist(), strict=True))
        for row in oof.iter_rows(named=True):
            later = today.get((np.datetime64(row["decision_time"].replace(tzinfo=None), "us") + 24 * HOUR).item())
            expected = np.nan if later is None else later
            assert row["next_volatility"] == pytest.approx(expected, nan_ok=True)
        assert np.isnan(oof["next_volatility"].to_numpy()[-24:]).all()


def test_missing_inputs_drop_out_of_the_likelihood(data: TrainingSet, fitted: FittedRegime) -> None:
    """Checked against normal densities written out with scipy."""
    rows = data.features[6_000:6_200].copy()
    rows[::3, 1] = np.nan
    rows[1::3, 2] = np.nan
    rows[5, 1:3] = np.nan
    scores = (np.log(rows[:, 1:3].astype(np.float64)) - fitted.center) / fitted.scale
    mixture = fitted.mixture
    densities = norm.logpdf(scores[:, None, :], mixture.means_, np.sqrt(mixture.covariances_))
    logs = np.nansum(densities, axis=2) + np.log(mixture.weights_)
    expected = np.exp(logs) / np.exp(logs).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(fitted.probability_of(rows), expected, atol=1e-9)
    np.testing.assert_allclose(fitted.probability_of(rows)[5], mixture.weights_)


def test_the_export_is_the_mixture_on_holes_and_extremes(data: TrainingSet, fitted: FittedRegime) -> None:
    probes = {24: fitted.probes(data.features, seed=1)}
    report = check_parity({24: fitted.to_onnx()}, lambda rows, _: fitted.probability_of(rows), probes)
    assert report.max_abs_difference < 1e-4
    other = fit_regime(data, np.arange(2_000))
    with pytest.raises(ParityFailed):
        check_parity({24: other.to_onnx()}, lambda rows, _: fitted.probability_of(rows), probes)


def test_one_row_alone_answers_as_it_does_in_a_batch(data: TrainingSet, trained: TrainedRegime) -> None:
    model = trained.onnx
    session = onnxruntime.InferenceSession(model.onnx, providers=["CPUExecutionProvider"])
    batch = session.run([model.output_name], {model.input_name: data.features[:100]})[0]
    alone = [session.run(None, {model.input_name: data.features[row : row + 1]})[0][0] for row in range(100)]
    np.testing.assert_allclose(alone, batch, atol=1e-6)
    np.testing.assert_allclose(batch.sum(axis=1), 1, atol=1e-6)
    assert trained.contract(file="regime.onnx").states == STATES


def test_rows_and_labels_outside_the_fold_teach_nothing(data: TrainingSet, fitted: FittedRegime) -> None:
    changed = replace(data, features=data.features.copy())
    changed.features[6_000:] = 99.0
    changed = replace(changed, targets={24: replace(data.targets[24], forward_return=-data.targets[24].forward_return)})
    assert fit_regime(changed, np.arange(6_000)).to_onnx().onnx == fitted.to_onnx().onnx


def test_states_of_an_hour_know_nothing_that_came_later(data: TrainingSet, trained: TrainedRegime) -> None:
    """The refit at hour 6,000 may know the hours before it; the states until then may not know those after it."""
    changed = replace(data, features=data.features.copy())
    changed.features[6_000:, 1:3] *= 3
    oof = regime_walk_forward(changed, settings=SETTINGS)
    until = pl.col("decision_time").dt.replace_time_zone(None) < data.decision_time[6_000].item()
    for told in (STATES, ("state", "volatility_third")):
        assert oof.filter(until).select(told).equals(trained.oof.filter(until).select(told))
    assert oof.filter(~until)["calm"].mean() < trained.oof.filter(~until)["calm"].mean()


def test_other_inputs_may_be_named_and_must_exist(data: TrainingSet, fitted: FittedRegime) -> None:
    more = (*VOLATILITIES, RegimeInput("efficiency_72h", log=False))
    wider = fit_regime(data, np.arange(6_000), inputs=more)
    assert wider.to_onnx().onnx != fitted.to_onnx().onnx
    probes = {24: wider.probes(data.features, seed=1)}
    assert check_parity({24: wider.to_onnx()}, lambda rows, _: wider.probability_of(rows), probes).passed
    with pytest.raises(ContractViolation, match="tail_index"):
        fit_regime(data, np.arange(6_000), inputs=(RegimeInput("tail_index", log=False),))
    with pytest.raises(ContractViolation, match="Ingest more history"):
        fit_regime(data, np.arange(300))
