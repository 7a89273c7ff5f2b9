"""The `ml_*` fields of a signal: what the model said, whether or not it had a say.

Belongs here: recording. Does not belong: deciding (`decision`). The reviewed system computed a forecast and
logged none of it in 100 signals; here every record carries every field.
"""

from eth_pipeline.contracts.signal import Action, MlFields
from eth_pipeline.contracts.wording.forecasts import ANSWERED_HERE, ANSWERED_REMOTELY
from eth_pipeline.settings import SignalSettings
from eth_pipeline.signals.decision import forecast_view
from eth_pipeline.signals.forecasting.forecast import Forecast, ModelInfo
from eth_pipeline.signals.gating.gate import MlAvailability


def record_ml(
    *,
    ml: MlAvailability,
    forecast: Forecast | None,
    model: ModelInfo | None,
    distrusted: str | None,
    settings: SignalSettings,
) -> MlFields:
    """Fill every ML field.

    Args:
        ml: whether a verified model answered, and why not.
        forecast: its answer; recorded also where it is distrusted or in shadow mode.
        model: the bundle behind it; also where the forecast failed.
        distrusted: why the answer is not believed; such an answer does not count as available.
        settings: weight and shadow mode.
    """
    view = forecast_view(forecast, model.contract) if forecast and model else None
    probabilities = forecast.probabilities if forecast else {}
    return MlFields(
        ml_enabled=settings.ml_weight > 0 or settings.shadow_mode,
        ml_available=ml.available and distrusted is None,
        ml_shadow=settings.shadow_mode,
        ml_version=model.version if model else None,
        ml_fingerprint=model.fingerprint if model else None,
        ml_prob_up_5h=probabilities.get(5),
        ml_prob_up_12h=probabilities.get(12),
        ml_prob_up_24h=probabilities.get(24),
        ml_source=forecast.source if forecast else None,
        ml_lgb_prob=_lightgbm_probability(forecast),
        ml_members={name: dict(answers) for name, answers in forecast.members.items()} if forecast else {},
        ml_quantiles={h: dict(levels) for h, levels in forecast.quantiles.items()} if forecast else {},
        ml_regime=dict(forecast.regime) if forecast else {},
        ml_direction=None if view is None else _direction(view),
        ml_confidence=None if view is None else abs(view),
        ml_remote_inference=forecast.remote if forecast else False,
        ml_stacking_enabled=model.stacking_enabled if model else False,
        ml_feature_coverage=forecast.coverage if forecast else None,
        ml_reason=distrusted or _answered(ml, forecast, model),
        ml_error=None if ml.available else ml.detail,
    )


def _answered(ml: MlAvailability, forecast: Forecast | None, model: ModelInfo | None) -> str:
    """Who answered; where the inference service was asked and did not, also why."""
    if forecast is None or model is None or not ml.available:
        return ml.detail
    if forecast.fallback_reason:
        return ANSWERED_HERE(version=model.version, why=forecast.fallback_reason)
    return ANSWERED_REMOTELY(version=model.version) if forecast.remote else ml.detail


def _direction(view: float) -> Action:
    if not view:
        return Action.HOLD
    return Action.LONG if view > 0 else Action.SHORT


def _lightgbm_probability(forecast: Forecast | None) -> float | None:
    answers = forecast.members.get("lightgbm", {}) if forecast else {}
    return answers[min(answers)] if answers else None
