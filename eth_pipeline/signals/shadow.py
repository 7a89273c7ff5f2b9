"""What a candidate says each hour beside production: recorded for the comparison, never part of a decision.

Belongs here: its rows of `FORECASTS`. Does not belong: which bundle it is (`signals.forecasting.shadow_bundle`),
production's forecast (`evidence`), comparing the two.

Its rows have the role `shadow`, which is part of the table's key: they can neither replace production's rows nor be
read as them, not even in the hour in which the candidate is promoted. Whatever happens to it ends as one error of
this module, so that the step that runs it fails alone.
"""

from datetime import datetime

import polars as pl

from eth_pipeline.contracts.decision_tables import FORECASTS
from eth_pipeline.errors import BundleRefused
from eth_pipeline.lake import Lake
from eth_pipeline.registry.promotions.production import pointer_or_none
from eth_pipeline.settings import Settings
from eth_pipeline.signals.evidence import feature_rows
from eth_pipeline.signals.forecasting.forecast import BundleForecaster
from eth_pipeline.signals.forecasting.forecast_rows import forecast_rows
from eth_pipeline.signals.forecasting.shadow_bundle import shadow_bundle


def compute_shadow_forecasts(lake: Lake, *, settings: Settings, now: datetime, decision_time: datetime) -> pl.DataFrame:
    """Forecast the feature row of `decision_time` with the candidate: rows of `FORECASTS` that never act.

    The frame is empty where `inference.shadow_enabled` is off, there is no candidate, the candidate is in production
    already, or there is no feature row for this hour. It always runs on this host.

    Raises:
        BundleRefused: or one of its kinds; the candidate may not run or broke. Production is not concerned.
    """
    if not settings.inference.shadow_enabled:
        return FORECASTS.empty()
    candidate = shadow_bundle(settings, now=now)
    production = pointer_or_none(settings.home)
    if candidate is None or (production is not None and production.fingerprint == candidate.bundle.fingerprint):
        return FORECASTS.empty()
    bundle, version = candidate
    rows = feature_rows(lake, settings, decision_time, hours=bundle.contract.window_hours)
    if not rows.height or rows["decision_time"][-1] != decision_time:
        return FORECASTS.empty()
    try:
        forecaster = BundleForecaster(bundle, version=version)
        forecast = forecaster.forecast(rows, now=now)
    except BundleRefused:
        raise
    except Exception as error:  # ONNX Runtime's own classes share no base below Exception
        raise BundleRefused(
            f"The candidate {bundle.fingerprint[:12]} broke: {type(error).__name__}: {error}. Production is not "
            "concerned; train another one, or switch `inference.shadow_enabled` off."
        ) from error
    return forecast_rows(forecast, forecaster.info, row=rows.tail(1), role="shadow")
