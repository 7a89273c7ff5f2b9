"""A forecast as rows of the table `forecasts`, and back.

Belongs here: the two directions. Does not belong: making a forecast (`forecast`), when one counts (`signals.evidence`).
"""

import json
from typing import Literal

import polars as pl

from eth_pipeline.contracts.artifact import RuntimeContract
from eth_pipeline.contracts.decision_tables import FORECASTS
from eth_pipeline.signals.forecasting.forecast import STACKING, Forecast, ModelInfo

Role = Literal["production", "shadow"]


def forecast_rows(
    forecast: Forecast, model: ModelInfo, *, row: pl.DataFrame, role: Role = "production"
) -> pl.DataFrame:
    """One row of `FORECASTS` per algorithm and horizon.

    Args:
        forecast: what the bundle said.
        model: the bundle.
        row: the decision hour's row of the features table.
        role: a `shadow` is recorded and never acts.
    """
    regime = json.dumps(dict(forecast.regime)) if forecast.regime else None
    rows = []
    for algorithm, answers in forecast.members.items():
        source = algorithm == forecast.source
        for horizon, probability in answers.items():
            quantiles = forecast.quantiles.get(horizon)
            rows.append(
                {
                    "symbol": row["symbol"][0],
                    "decision_time": row["decision_time"][0],
                    "available_at": row["available_at"][0],
                    "horizon_hours": horizon,
                    "algorithm": algorithm,
                    "role": role,
                    "acting": source and role == "production",
                    "probability_up": probability,
                    "raw_probability": forecast.raw[horizon] if source else None,
                    "quantiles": json.dumps(dict(quantiles)) if source and quantiles else None,
                    "regime": regime if source else None,
                    "coverage": forecast.coverage,
                    "out_of_bounds_share": forecast.out_of_bounds_share,
                    "model_version": model.version,
                    "fingerprint": model.fingerprint,
                    "inference": "remote" if forecast.remote else "local",
                    "fallback_reason": forecast.fallback_reason,
                    "provenance": str(row["provenance"][0]),
                }
            )
    return pl.DataFrame(rows, schema=FORECASTS.schema)


def stored_forecast(rows: pl.DataFrame, *, contract: RuntimeContract) -> Forecast | None:
    """The forecast of one hour from its rows, None where the acting rows are not exactly the contract's horizons.

    Args:
        rows: rows of `FORECASTS` of one symbol, hour and bundle; those of a shadow do not count.
        contract: of that bundle.
    """
    rows = rows.filter(pl.col("role") == "production")
    acting = rows.filter("acting")
    wanted = {model.horizon_hours for model in contract.primary_models}
    sources = acting["algorithm"].unique().to_list()
    if set(acting["horizon_hours"]) != wanted or acting.height != len(wanted) or len(sources) != 1:
        return None
    if sources[0] not in (contract.primary_algorithm, STACKING):
        return None
    quantiles = {
        int(horizon): {float(level): float(value) for level, value in json.loads(text).items()}
        for horizon, text in acting.select("horizon_hours", "quantiles").rows()
        if text
    }
    regime = acting["regime"][0]
    members: dict[str, dict[int, float]] = {}
    for algorithm, horizon, probability in rows.select("algorithm", "horizon_hours", "probability_up").rows():
        members.setdefault(algorithm, {})[horizon] = probability
    return Forecast(
        probabilities=dict(zip(acting["horizon_hours"], acting["probability_up"], strict=True)),
        raw=dict(zip(acting["horizon_hours"], acting["raw_probability"], strict=True)),
        coverage=float(acting["coverage"][0]),
        out_of_bounds_share=float(acting["out_of_bounds_share"][0]),
        seconds=0.0,
        source=sources[0],
        members=members,
        quantiles=quantiles,
        regime=json.loads(regime) if regime else {},
        remote=bool((acting["inference"] == "remote").all()),
        fallback_reason=acting["fallback_reason"][0],
    )
