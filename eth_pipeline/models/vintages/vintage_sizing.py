"""What a vintage says besides the direction: how wide the outcome may be, the state of the market, strange inputs.

Belongs here: training the three as of a cutoff, and answering with them for many hours at once. Does not belong: the
direction (`vintage`), how the production models are judged (`models.sizing.quantile`, `models.sizing.regime`), what any
of it does to a position (`signals`).

The answers are those of a bundle with the same models (`signals.forecasting.forecast`). The conformal offsets differ in
origin: a bundle's come from all out-of-fold rows, a vintage has only the rows that stopped and calibrated it, so its
offsets are those of models fitted without them, and the models that answer are fitted again on all rows known at the
cutoff.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from eth_pipeline.contracts.artifact import QuantileModel, RegimeModel
from eth_pipeline.models.baselines import find_volatility_feature
from eth_pipeline.models.candidate import Bounds, feature_bounds
from eth_pipeline.models.dataset import Floats, Matrix, Rows, TrainingSet
from eth_pipeline.models.folds import Fold
from eth_pipeline.models.forecaster import OnnxModel
from eth_pipeline.models.parity import check_parity
from eth_pipeline.models.sizing.mixture import STATES, VOLATILITIES, fit_regime
from eth_pipeline.models.trees.quantile_forest import (
    QuantileParameters,
    conformal_offsets,
    fit_quantiles,
    with_volatility,
)

_REGIME_FILE = "regime.onnx"


@dataclass(frozen=True)
class VintageSizing:
    """Models of one cutoff beside those of direction.

    Attributes:
        quantiles: one per horizon, shortest first.
        regime: state probabilities, calmest first; None where its volatilities are no inputs.
        bounds: 0.1 and 99.9 percentile of each input over the rows learnt from, in the vintage's order.
        files: ONNX by the name that `quantiles` and `regime` give it.
    """

    quantiles: tuple[QuantileModel, ...]
    regime: RegimeModel | None
    bounds: tuple[Bounds, ...]
    files: Mapping[str, bytes]


def train_sizing(
    data: TrainingSet, folds: Mapping[int, Fold], *, parameters: QuantileParameters, seed: int
) -> VintageSizing:
    """Train on the rows of `folds` alone.

    Args:
        data: features and targets of any span around the cutoff.
        folds: rows known at the cutoff, by horizon; the newest of them validate.
        parameters: levels and trees.
        seed: of the trees.

    Raises:
        ContractViolation: no feature looks like volatility.
        ParityFailed: an export is not its model.
    """
    volatility = find_volatility_feature(data.feature_names)
    known = data.column(volatility)
    held_out = {h: with_volatility(fold.validation, known) for h, fold in folds.items()}
    first = fit_quantiles(
        data,
        {h: with_volatility(fold.train, known) for h, fold in folds.items()},
        parameters=parameters,
        volatility_feature=volatility,
        seed=seed,
    )
    offsets = {
        h: conformal_offsets(
            first[h].forecast(data.features[rows]), data.targets[h].forward_return[rows], levels=parameters.levels
        )
        for h, rows in held_out.items()
    }
    learnt = {h: with_volatility(fold.learn, known) for h, fold in folds.items()}
    final = fit_quantiles(data, learnt, parameters=parameters, volatility_feature=volatility, seed=seed)
    exports = {h: fitted.to_onnx() for h, fitted in final.items()}
    check_parity(
        exports,
        lambda features, horizon: final[horizon].forecast(features),
        {h: fitted.probes(data.features[learnt[h]], seed=seed) for h, fitted in final.items()},
    )
    rows = np.unique(np.concatenate([fold.learn for fold in folds.values()]))
    named = {f"quantile_{h}h.onnx": h for h in sorted(exports)}
    regime = _regime(data, rows, seed=seed)
    return VintageSizing(
        quantiles=tuple(
            QuantileModel(
                horizon_hours=h,
                file=name,
                input_name=exports[h].input_name,
                output_name=exports[h].output_name,
                levels=parameters.levels,
                offsets=tuple(map(float, offsets[h])),
            )
            for name, h in named.items()
        ),
        regime=None
        if regime is None
        else RegimeModel(
            file=_REGIME_FILE, input_name=regime.input_name, output_name=regime.output_name, states=STATES
        ),
        bounds=feature_bounds(data.features[rows]),
        files={name: exports[h].onnx for name, h in named.items()} | ({_REGIME_FILE: regime.onnx} if regime else {}),
    )


def score_sizing(sizing: VintageSizing, features: Matrix) -> pl.DataFrame:
    """Answers for many hours, as a bundle of the same models gives them one by one.

    Args:
        sizing: of a vintage.
        features: rows of the decision hours, float32 [rows, features], in the vintage's order.

    Returns:
        A row per hour: `quantiles_<horizon>` (JSON of level to log return, null where the volatility that scales them
        is missing), `regime` (JSON of state to probability, null without a model), `input_coverage`,
        `out_of_bounds_share`.
    """
    present = np.isfinite(features)
    lower, upper = (
        np.array([bound[side] if bound else edge for bound in sizing.bounds], dtype=np.float32)
        for side, edge in ((0, -np.inf), (1, np.inf))
    )
    outside = ((features < lower) | (features > upper)) & present
    return pl.DataFrame(
        {
            **{f"quantiles_{m.horizon_hours}": _quantile_texts(m, sizing, features) for m in sizing.quantiles},
            "regime": _regime_texts(sizing, features),
            "input_coverage": present.mean(axis=1),
            "out_of_bounds_share": outside.sum(axis=1) / np.maximum(present.sum(axis=1), 1),
        },
        schema={
            **{f"quantiles_{m.horizon_hours}": pl.String for m in sizing.quantiles},
            "regime": pl.String,
            "input_coverage": pl.Float64,
            "out_of_bounds_share": pl.Float64,
        },
    )


def _regime(data: TrainingSet, rows: Rows, *, seed: int) -> OnnxModel | None:
    if any(item.feature not in data.feature_names for item in VOLATILITIES):
        return None
    fitted = fit_regime(data, rows)
    exported = fitted.to_onnx()
    check_parity(
        {24: exported},
        lambda features, _: fitted.probability_of(features),
        {24: fitted.probes(data.features[rows], seed=seed)},
    )
    return exported


def _quantile_texts(model: QuantileModel, sizing: VintageSizing, features: Matrix) -> list[str | None]:
    values = np.sort(_answers(sizing.files[model.file], model, features) + np.array(model.offsets), axis=1)
    return [
        json.dumps(dict(zip(model.levels, row, strict=True))) if np.isfinite(row).all() else None
        for row in values.tolist()
    ]


def _regime_texts(sizing: VintageSizing, features: Matrix) -> list[str | None]:
    if sizing.regime is None:
        return [None] * len(features)
    answers = _answers(sizing.files[sizing.regime.file], sizing.regime, features)
    return [json.dumps(dict(zip(sizing.regime.states, row, strict=True))) for row in answers.tolist()]


def _answers(onnx: bytes, model: QuantileModel | RegimeModel, features: Matrix) -> Floats:
    """float64 [rows, columns]."""
    from onnxruntime import InferenceSession

    session = InferenceSession(onnx, providers=["CPUExecutionProvider"])
    (answer,) = session.run([model.output_name], {model.input_name: features})
    return np.asarray(answer, dtype=np.float64)
