"""Permutation importance out of fold: how much AUC is lost when a family of features tells of another week.

Belongs here: shuffling and scoring with the models that the walk-forward kept. Does not belong: importance by gain
(`FittedForecaster.importance`), which counts what was learnt, not what held.

The features of one family, or one feature, are replaced on the newest windows' rows by those of other whole weeks
(168 rows, hour of the week kept), all together, so that what is autocorrelated or correlated within the family stays
so. Rows are scored with the model and the calibration of their own window, targets stay. The donors include weeks
before the window when it is short: their features were known, and no target is read from them. The drop in AUC
has a paired weekly interval.

Which single features are tried is chosen by their gain in the same models, on rows older than those scored. A family
whose members another family can replace shows little: the figure is what is lost without it, not what it says alone.

Source: Breiman, Random Forests (2001); blocks as in the bootstrap.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from eth_pipeline.models.dataset import Floats, HorizonTarget, Rows, TrainingSet
from eth_pipeline.models.figures.bootstrap import WeeklyResamples
from eth_pipeline.models.figures.metrics import auc
from eth_pipeline.models.figures.report import PermutationDrop, PermutationReport
from eth_pipeline.models.out_of_fold import KeptWindow
from eth_pipeline.settings import TrainingSettings

WEEK_HOURS = 168
TOP_FEATURES = 20
DONOR_WEEKS = 8


@dataclass(frozen=True)
class _Scene:
    """One kept window cut out of the history: what its model reads, which rows are scored, who lends features.

    Attributes:
        data: the rows from the oldest donor or remembered hour to the newest scored one.
        score: row numbers in `data` that are scored.
        lent_by: for every row of `data`, the row whose features it borrows.
        window: the model and its calibration.
    """

    data: TrainingSet
    score: Rows
    lent_by: Rows
    window: KeptWindow


def permutation_importance(
    data: TrainingSet,
    kept: Sequence[KeptWindow],
    *,
    horizon_hours: int,
    families: Mapping[str, str],
    settings: TrainingSettings,
    top_features: int = TOP_FEATURES,
) -> PermutationReport | None:
    """The drop in AUC of every family and of the features with most gain, largest first.

    Costs one scoring of the kept windows' rows per family and feature.

    Args:
        data: the history that was walked.
        kept: windows with their models, from `walk_forward(keep=...)`.
        horizon_hours: whose AUC.
        families: feature to family; features without one are tried singly only.
        settings: seed and bootstrap samples.
        top_features: how many single features.

    Returns:
        None where nothing was kept or fewer than two weeks of rows exist.
    """
    scenes = [
        scene
        for number, window in enumerate(kept)
        if (scene := _scene(data, window, horizon_hours, seed=settings.seed + number)) is not None
    ]
    if not scenes:
        return None
    rows = np.concatenate([scene.window.test[horizon_hours] for scene in scenes])
    up = data.targets[horizon_hours].up[rows].astype(np.float64)
    resamples = WeeklyResamples.of(data.decision_time[rows], samples=settings.bootstrap_samples, seed=settings.seed)
    whole = _scores(scenes, [], horizon_hours)
    value, draws = auc(whole, up), resamples.auc(whole, up)

    def drop(name: str, kind: str, columns: list[int]) -> PermutationDrop:
        score = _scores(scenes, columns, horizon_hours)
        lost = resamples.estimate(value - auc(score, up), draws - resamples.auc(score, up))
        return PermutationDrop(name=name, kind=kind, features=len(columns), drop=lost)

    position = {name: column for column, name in enumerate(data.feature_names)}
    members: dict[str, list[int]] = {}
    for name in data.feature_names:
        if name in families:
            members.setdefault(families[name], []).append(position[name])
    drops = [drop(family, "family", columns) for family, columns in members.items()]
    drops += [drop(name, "feature", [position[name]]) for name in _most_gain(kept, top_features)]
    return PermutationReport(
        horizon_hours=horizon_hours,
        windows=len(scenes),
        rows=len(rows),
        auc=resamples.estimate(value, draws),
        drops=tuple(sorted(drops, key=lambda each: (each.kind, -(each.drop.value or 0.0), each.name))),
    )


def _most_gain(kept: Sequence[KeptWindow], count: int) -> list[str]:
    gains = [window.fitted.importance() for window in kept]
    mean = {name: float(np.mean([gain[name] for gain in gains])) for name in gains[0]}
    used = [name for name in mean if mean[name] > 0]
    return sorted(used, key=lambda name: (-mean[name], name))[:count]


def _scene(data: TrainingSet, window: KeptWindow, horizon_hours: int, *, seed: int) -> _Scene | None:
    test = window.test[horizon_hours]
    begin = min(test[0] - window.fitted.window_hours + 1, test[-1] + 1 - DONOR_WEEKS * WEEK_HOURS)
    cut = slice(max(0, int(begin)), int(test[-1]) + 1)
    rows = cut.stop - cut.start
    if rows < 2 * WEEK_HOURS:
        return None
    cut_out = replace(
        data,
        decision_time=data.decision_time[cut],
        features=data.features[cut],
        targets={h: _cut(target, cut) for h, target in data.targets.items()},
    )
    return _Scene(cut_out, test - cut.start, lenders(rows, seed=seed), window)


def _cut(target: HorizonTarget, cut: slice) -> HorizonTarget:
    return HorizonTarget(target.up[cut], target.forward_return[cut], target.late_return[cut], target.label_end[cut])


def lenders(rows: int, *, seed: int) -> Rows:
    """For each of `rows` hourly rows, the row of another week that lends its features; the hour of the week stays.

    Weeks are counted from the newest row backwards and lend to each other in one random circle, so none keeps its
    own; the hours left over at the beginning borrow from a random week.
    """
    random = np.random.default_rng(seed)
    weeks, rest = divmod(rows, WEEK_HOURS)
    circle = random.permutation(weeks)
    lender = np.empty(weeks, dtype=np.int64)
    lender[circle] = np.roll(circle, 1)
    hours = np.arange(WEEK_HOURS)
    whole = (rest + lender[:, None] * WEEK_HOURS + hours).ravel()
    start = rest + random.integers(weeks) * WEEK_HOURS
    return np.concatenate([start + hours[WEEK_HOURS - rest :], whole])


def _scores(scenes: Sequence[_Scene], columns: list[int], horizon_hours: int) -> Floats:
    """Calibrated probabilities of all scored rows, with `columns` borrowed."""
    found = []
    for scene in scenes:
        data = scene.data
        if columns:
            data = replace(data, features=data.features.copy())
            data.features[:, columns] = scene.data.features[scene.lent_by][:, columns]
        raw = scene.window.fitted.probability(data, {horizon_hours: scene.score})[horizon_hours]
        found.append(scene.window.calibration[horizon_hours].apply(raw))
    return np.concatenate(found)
