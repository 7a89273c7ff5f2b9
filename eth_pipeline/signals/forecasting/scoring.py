"""Feature rows and forecasts as messages of the scoring protocol, and back; both sides read the same code.

Belongs here: the four directions. Does not belong: the shapes (`contracts.inference`), HTTP (`remote`, `serving`),
running a model (`forecast`).
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl
from polars.exceptions import PolarsError
from pydantic import ValidationError

from eth_pipeline.contracts.artifact import RuntimeContract
from eth_pipeline.contracts.clock import iso, parse_instant
from eth_pipeline.contracts.inference import DECISION_TIME, TENSOR, InferenceAnswer, Invocation, Prediction, SplitFrame
from eth_pipeline.contracts.table import INSTANT
from eth_pipeline.errors import InferenceRefused
from eth_pipeline.signals.forecasting.forecast import STACKING, Forecast, ModelInfo

MAX_HOURS = 1000
_SUM_TOLERANCE = 1e-3


def request_body(rows: pl.DataFrame, contract: RuntimeContract) -> bytes:
    """The request for one hour: `dataframe_split` of exactly the contract's inputs; what is not finite becomes null.

    Args:
        rows: feature rows ending with the decision hour, as `BundleForecaster.forecast` takes them.
    """
    names = [item.name for item in contract.inputs]
    values = rows.select(pl.col(name).cast(pl.Float64) for name in names)
    data = [[value if value is not None and math.isfinite(value) else None for value in row] for row in values.rows()]
    if contract.window_hours == 1:
        return _json({"dataframe_split": {"columns": names, "data": data}})
    placed = [[iso(time), *row] for time, row in zip(rows[DECISION_TIME], data, strict=True)]
    return _json({"dataframe_split": {"columns": [DECISION_TIME, *names], "data": placed}})


def hours_asked(body: bytes, contract: RuntimeContract) -> tuple[pl.DataFrame, ...]:
    """Feature rows of every hour that a request asks for.

    Raises:
        InferenceRefused: the body is no request of the protocol, or not about this bundle's inputs.
    """
    try:
        asked = Invocation.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"][:4])) or "body"
        raise InferenceRefused(
            f"The body is no request of MLflow's scoring protocol: {where}: {first['msg']}. Send a JSON object with "
            "exactly one of `dataframe_split` and `inputs`."
        ) from error
    try:
        if asked.dataframe_split is not None:
            return _hours_of_frame(asked.dataframe_split, contract)
        return _hours_of_tensor(asked.inputs, contract)
    except (PolarsError, ValueError, TypeError, OverflowError) as error:
        raise InferenceRefused(f"The request's rows cannot be read: {error}. Send one value per column.") from error


def answer_body(forecasts: Iterable[Forecast], info: ModelInfo) -> bytes:
    """The answer. Beside our own fields every prediction has `probability_up_<horizon>h`, so that a client which
    makes a frame of `predictions` finds the columns that the registered version answers under `mlflow models serve`.
    """
    predictions = [
        {
            **{f"probability_up_{horizon}h": value for horizon, value in forecast.probabilities.items()},
            "probabilities": dict(forecast.probabilities),
            "raw": dict(forecast.raw),
            "coverage": forecast.coverage,
            "out_of_bounds_share": forecast.out_of_bounds_share,
            "source": forecast.source,
            "members": {name: dict(answers) for name, answers in forecast.members.items()},
            "quantiles": {horizon: dict(levels) for horizon, levels in forecast.quantiles.items()},
            "regime": dict(forecast.regime),
        }
        for forecast in forecasts
    ]
    return _json({"predictions": predictions, "fingerprint": info.fingerprint, "model_version": info.version})


def forecast_answered(body: bytes, info: ModelInfo, *, seconds: float) -> Forecast:
    """The forecast of one hour from an answer, believed only where it is one that the local bundle could give.

    Args:
        body: of the answer.
        info: the local, verified bundle.
        seconds: what it took.

    Raises:
        InferenceRefused: of another bundle, or not what the contract says.
    """
    try:
        answer = InferenceAnswer.model_validate_json(body)
    except ValidationError as error:
        raise InferenceRefused(
            f"The inference service's answer has not the agreed shape ({error.error_count()} faults). Run the same "
            "code version on both hosts."
        ) from error
    if answer.fingerprint != info.fingerprint:
        raise InferenceRefused(
            f"The inference service answered with bundle {answer.fingerprint[:12]!r}, this host verified "
            f"{info.fingerprint[:12]!r}. Materialize `production_bundle` on both hosts."
        )
    if len(answer.predictions) != 1:
        raise InferenceRefused(
            f"The inference service answered {len(answer.predictions)} hours where one was asked. Run the same code "
            "version on both hosts."
        )
    (said,) = answer.predictions
    if fault := _fault(said, info):
        raise InferenceRefused(
            f"The inference service names bundle {info.fingerprint[:12]} and answered what it cannot answer: {fault}. "
            "Compare `GET /health` there with `eth-pipeline health` here."
        )
    return Forecast(
        probabilities=said.probabilities,
        raw=said.raw,
        coverage=said.coverage,
        out_of_bounds_share=said.out_of_bounds_share,
        seconds=seconds,
        source=said.source,
        members=said.members,
        quantiles=said.quantiles,
        regime={state: said.regime[state] for state in info.contract.regime.states} if info.contract.regime else {},
        remote=True,
    )


def _hours_of_frame(frame: SplitFrame, contract: RuntimeContract) -> tuple[pl.DataFrame, ...]:
    _require_few(len(frame.data))
    wanted = {item.name for item in contract.inputs} | ({DECISION_TIME} if contract.window_hours > 1 else set())
    kept = [place for place, name in enumerate(frame.columns) if name in wanted]
    names = [frame.columns[place] for place in kept]
    if any(len(row) != len(frame.columns) for row in frame.data) or len(set(names)) != len(names):
        raise ValueError("a row has not one value per column, or a column stands twice")
    if wanted - set(names):
        raise ValueError(f"{len(wanted - set(names))} columns are missing, first {sorted(wanted - set(names))[:5]}")
    columns = {frame.columns[place]: [row[place] for row in frame.data] for place in kept}
    times = [parse_instant(str(text)) for text in columns.pop(DECISION_TIME, [])]
    if any(isinstance(value, str) for values in columns.values() for value in values):
        raise TypeError("an input is a text")
    rows = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.Float64))
    if contract.window_hours == 1:
        return tuple(rows.slice(hour, 1) for hour in range(rows.height))
    return (rows.with_columns(pl.Series(DECISION_TIME, times, INSTANT)),)


def _hours_of_tensor(inputs: Any, contract: RuntimeContract) -> tuple[pl.DataFrame, ...]:
    if isinstance(inputs, dict):
        if set(inputs) != {TENSOR}:
            raise ValueError(f"`inputs` names {sorted(inputs)[:5]}, the bundle reads `{TENSOR}`")
        inputs = inputs[TENSOR]
    _require_few(len(inputs))
    names = [item.name for item in contract.inputs]
    return tuple(_hour_of(sample, names, hours=contract.window_hours) for sample in inputs)


def _hour_of(sample: Sequence[Any], names: list[str], *, hours: int) -> pl.DataFrame:
    """One row [features], or a whole window [window_hours, features]; an hour without any value is a hole in it."""
    window = [sample] if hours == 1 else list(sample)
    if len(window) != hours or any(not isinstance(row, tuple) or len(row) != len(names) for row in window):
        raise ValueError(f"an hour is not float [{'' if hours == 1 else f'{hours}, '}{len(names)}]")
    rows = pl.DataFrame(window, schema=dict.fromkeys(names, pl.Float64), orient="row")
    if hours == 1:
        return rows
    times = pl.Series(DECISION_TIME, range(hours), pl.Int64) * 3_600_000_000
    empty = pl.all_horizontal(pl.col(names).is_null() | pl.col(names).is_nan())
    newest = pl.int_range(pl.len()) == hours - 1
    return rows.with_columns(times.cast(INSTANT)).filter(newest | ~empty)


def _require_few(hours: int) -> None:
    if not 1 <= hours <= MAX_HOURS:
        raise ValueError(f"{hours} rows, from 1 to {MAX_HOURS} are answered at once")


def _fault(said: Prediction, info: ModelInfo) -> str | None:
    """Why this cannot be an answer of the bundle; None where it can."""
    contract = info.contract
    horizons = {model.horizon_hours for model in contract.primary_models}
    algorithms = {model.algorithm for model in contract.models} | ({STACKING} if contract.stacks else set())
    sources = {contract.primary_algorithm} | ({STACKING} if info.stacking_enabled else set())
    levels = {model.horizon_hours: sorted(model.levels) for model in contract.quantiles}
    states = list(contract.regime.states) if contract.regime else []
    checks = {
        "source": said.source in sources and said.members.get(said.source) == said.probabilities,
        "horizons": said.probabilities.keys() == said.raw.keys() == horizons,
        "members": said.members.keys() <= algorithms and all(map(_probabilities, said.members.values())),
        "raw": _probabilities(said.raw),
        "shares": _probabilities({0: said.coverage, 1: said.out_of_bounds_share}),
        "quantiles": {hours: sorted(found) for hours, found in said.quantiles.items()} == levels
        and all(map(_ascending, said.quantiles.values())),
        "regime": sorted(said.regime) == sorted(states)
        and _probabilities(said.regime)
        and (not states or math.isclose(sum(said.regime.values()), 1.0, abs_tol=_SUM_TOLERANCE)),
    }
    return next((name for name, holds in checks.items() if not holds), None)


def _probabilities(values: Mapping[Any, float]) -> bool:
    return all(0.0 <= value <= 1.0 for value in values.values())


def _ascending(levels: Mapping[float, float]) -> bool:
    values = [levels[level] for level in sorted(levels)]
    return all(map(math.isfinite, values)) and values == sorted(values)


def _json(value: object) -> bytes:
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()
