"""Tests of eth_pipeline.models.drift and eth_pipeline.models.cloud."""

import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis
from scipy.stats import ks_2samp

from eth_pipeline.errors import ContractViolation
from eth_pipeline.models.cloud import CloudReference, cloud_distances, distance_to_cloud, make_cloud
from eth_pipeline.models.drift import DriftReference, FeatureDrift, make_drift_reference, measure_drift

NAMES = ("slow", "fast", "rare", "weekday")


def history(rows: int, *, seed: int) -> np.ndarray:
    """A slow and a fast autoregression, a feature that is missing half of the time, and the day of the week."""
    random = np.random.default_rng(seed)
    shocks = random.standard_normal((rows, 2))
    found = np.zeros((rows, 4), dtype=np.float32)
    slow = fast = 0.0
    for hour in range(rows):
        slow = 0.99 * slow + np.sqrt(1 - 0.99**2) * shocks[hour, 0]
        fast = 0.3 * fast + np.sqrt(1 - 0.3**2) * shocks[hour, 1]
        found[hour] = slow, fast, random.exponential(), (hour // 24) % 7
    found[random.random(rows) < 0.5, 2] = np.nan
    return found


@pytest.fixture(scope="module")
def training() -> np.ndarray:
    return history(20_000, seed=1)


@pytest.fixture(scope="module")
def reference(training: np.ndarray) -> DriftReference:
    return make_drift_reference(training, names=NAMES, cloud=make_cloud(training, components=2))


def drift_of(newest: np.ndarray, reference: DriftReference) -> dict[str, FeatureDrift]:
    return {feature.name: feature for feature in measure_drift(newest, reference).features}


def test_ks_is_scipys_within_the_distance_of_two_edges(training: np.ndarray, reference: DriftReference) -> None:
    newest = history(168, seed=2)
    found = drift_of(newest, reference)
    for number, name in enumerate(NAMES):
        known, new = (column[np.isfinite(column)] for column in (training[:, number], newest[:, number]))
        exact = ks_2samp(new, known).statistic
        assert exact - 1 / 30 - 1e-3 <= found[name].ks <= exact + 1e-3
    assert found["weekday"].ks == pytest.approx(ks_2samp(newest[:, 3], training[:, 3]).statistic, abs=1e-4)


def test_the_naive_test_alarms_on_a_market_that_has_not_changed(
    training: np.ndarray, reference: DriftReference
) -> None:
    """168 hours of a slow feature are a handful of observations; a p-value that counts 168 alarms nearly always."""
    same_market = history(168 * 200, seed=3).reshape(200, 168, 4)
    naive = [ks_2samp(window[:, 0], training[:, 0]).pvalue < 0.01 for window in same_market]
    ours = [drift_of(window, reference)["slow"].drifted for window in same_market]
    assert np.mean(naive) > 0.9
    assert np.mean(ours) < 0.1


def test_a_market_that_has_not_changed_seldom_alarms_as_a_whole(reference: DriftReference) -> None:
    same_market = history(168 * 100, seed=4).reshape(100, 168, 4)
    assert np.mean([measure_drift(window, reference).drifted for window in same_market]) < 0.1


def test_a_planted_shift_is_found_and_named_first(reference: DriftReference) -> None:
    newest = history(168, seed=5)
    newest[:, 1] += 1.0
    report = measure_drift(newest, reference)
    assert report.features[0].name == "fast"
    assert report.features[0].drifted
    assert [feature.name for feature in report.features if feature.drifted] == ["fast"]


def test_a_feature_that_stops_coming_is_drift(reference: DriftReference) -> None:
    newest = history(168, seed=6)
    newest[:, 1] = np.nan
    found = drift_of(newest, reference)["fast"]
    assert found.ks is None
    assert found.drifted


def test_psi_is_its_formula() -> None:
    """Half zeros and half ones in training, a quarter ones in the newest rows: 2 * 0.25 * ln(1.5 / 0.5) / ..."""
    training = np.tile([0.0, 1.0], 2_000)[:, None].astype(np.float32)
    reference = make_drift_reference(training, names=["coin"], cloud=make_cloud(training), window_rows=100)
    newest = np.repeat([0.0, 1.0], [75, 25])[:, None].astype(np.float32)
    expected = (0.75 - 0.5) * np.log(0.75 / 0.5) + (0.25 - 0.5) * np.log(0.25 / 0.5)
    assert measure_drift(newest, reference).features[0].psi == pytest.approx(expected, abs=1e-4)
    assert measure_drift(training[:100], reference).features[0].psi == pytest.approx(0.0, abs=1e-6)
    assert not measure_drift(training[:100], reference).features[0].drifted


def test_a_feature_that_never_was_is_no_drift_until_it_appears(training: np.ndarray) -> None:
    empty = np.column_stack([training[:, 1], np.full(len(training), np.nan, dtype=np.float32)])
    reference = make_drift_reference(empty, names=["fast", "absent"], cloud=make_cloud(empty))
    assert not drift_of(empty[:168], reference)["absent"].drifted
    appeared = empty[:168].copy()
    appeared[:, 1] = 3.0
    assert drift_of(appeared, reference)["absent"].drifted


def test_the_reference_of_335_features_is_below_300_kilobytes_of_json_and_survives_it() -> None:
    random = np.random.default_rng(7)
    wide = (random.standard_normal((4_000, 335)) * np.exp(random.normal(-5, 3, 335))).astype(np.float32)
    reference = make_drift_reference(wide, names=[f"a_feature_of_some_length_{n}" for n in range(335)],
                                     cloud=make_cloud(wide))  # fmt: skip
    text = reference.model_dump_json()
    assert len(text) < 300_000
    assert DriftReference.model_validate_json(text) == reference


def test_too_short_a_history_and_another_window_are_refused(training: np.ndarray, reference: DriftReference) -> None:
    with pytest.raises(ContractViolation, match="more history"):
        make_drift_reference(training[:2_000], names=NAMES, cloud=reference.cloud)
    with pytest.raises(ContractViolation, match="Pass the newest 168 hours"):
        measure_drift(training[:167], reference)


def covariance(cloud: CloudReference) -> np.ndarray:
    directions = np.array(cloud.directions)
    width = directions.shape[1]
    return directions.T @ np.diag(cloud.variances) @ directions + cloud.rest_variance * np.eye(width)


def test_the_distance_is_mahalanobis_of_the_present_features() -> None:
    random = np.random.default_rng(8)
    rows = (random.standard_normal((3_000, 4)) @ random.standard_normal((4, 6))).astype(np.float32)
    cloud = make_cloud(rows + 0.1 * random.standard_normal(rows.shape).astype(np.float32), components=3)
    row = rows[7].copy()
    row[[1, 4]] = np.nan
    present = np.isfinite(row)
    scores = (row[present] - np.array(cloud.center)[present]) / np.array(cloud.scale)[present]
    inverse = np.linalg.inv(covariance(cloud)[np.ix_(present, present)])
    expected = mahalanobis(scores, np.zeros(4), inverse) / np.sqrt(4)
    assert cloud_distances(row[None, :], cloud)[0] == pytest.approx(expected, rel=1e-3)


def test_a_combination_that_never_was_is_far_although_each_feature_is_usual() -> None:
    random = np.random.default_rng(9)
    common = random.standard_normal(5_000)
    rows = np.column_stack([common, common]) + 0.1 * random.standard_normal((5_000, 2))
    cloud = make_cloud(rows.astype(np.float32), components=1)
    usual, never = (distance_to_cloud(np.array(pair, dtype=np.float32), cloud) for pair in ([1.5, 1.5], [1.5, -1.5]))
    assert usual.percentile < 95
    assert never.percentile == 100
    assert never.distance > 5 * usual.distance


def test_training_rows_have_uniform_percentiles_and_missing_rows_none(training: np.ndarray) -> None:
    cloud = make_cloud(training, components=2)
    found = [distance_to_cloud(row, cloud).percentile for row in training[::200]]
    assert np.mean(np.array(found) <= 50) == pytest.approx(0.5, abs=0.12)
    assert np.isnan(distance_to_cloud(np.full(4, np.nan, dtype=np.float32), cloud).percentile)
    batch = cloud_distances(training[:50], cloud)
    alone = [distance_to_cloud(row, cloud).distance for row in training[:50]]
    np.testing.assert_allclose(alone, batch, rtol=1e-9)
