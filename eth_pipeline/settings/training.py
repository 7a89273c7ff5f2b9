"""Settings of training and promotion.

Belongs here: folds, networks, gates. Does not belong: what a promoted model does in an hour (`signals`).
"""

from typing import Literal

from pydantic import Field

from eth_pipeline.settings.section import Section

NetworkDevice = Literal["auto", "cpu", "cuda"]


class TrainingSettings(Section):
    """How candidates are trained and evaluated."""

    horizons_hours: tuple[int, ...] = Field((5, 12, 24), description="Forecast horizons.")
    embargo_hours: int = Field(24, ge=0, description="Hours between the last training label end and the test.")
    refit_every_hours: int = Field(24 * 91, gt=0, description="Walk-forward refit distance.")
    min_train_hours: int = Field(24 * 180, gt=0, description="Smallest training span of the first fold.")
    max_train_hours: int | None = Field(None, description="Rolling training window; empty means expanding.")
    seed: int = Field(20260101, description="Seed of every random choice in training.")
    min_feature_coverage: float = Field(
        0.8, ge=0, le=1, description="Features present in fewer of the training rows are no model inputs."
    )
    round_trip_cost_bps: float = Field(14.0, ge=0, description="Fees and slippage of one round trip.")
    bootstrap_samples: int = Field(400, ge=50, description="Weekly block bootstrap resamples per interval.")


class NetworkSettings(Section):
    """How large the networks' trainings are, and where they run."""

    max_epochs: int = Field(12, ge=1, description="Passes of a network over its rows at most.")
    window_hours: int = Field(48, ge=4, description="Hours that one forecast of a network reads.")
    device: NetworkDevice = Field("auto", description="Where networks train; auto takes CUDA where there is one.")


class GateSettings(Section):
    """Promotion gates. A gate is never lowered to make a demo pass."""

    min_samples: int = Field(8000, description="Labelled out-of-fold rows needed for promotion.")
    min_validation_auc: float = Field(0.53, description="Sign AUC floor, inner validation rows, 5 h.")
    min_test_auc: float = Field(0.52, description="Sign AUC floor, newest quarter of the out-of-fold rows, 5 h.")
    min_oof_auc: float = Field(0.53, description="Sign AUC floor, all out-of-fold rows, 5 h.")
    max_oof_test_gap: float = Field(0.10, description="Largest |OOF AUC - test AUC|.")
    max_believable_auc: float = Field(0.60, description="Above this AUC a leak is more likely than skill.")
    min_coverage_mean: float = Field(0.90, description="Mean share of non-missing feature values.")
    min_coverage_core: float = Field(0.80, description="Smallest coverage among the features the model uses most.")
    max_calibration_error: float = Field(0.03, description="Expected calibration error, 5 h, ten bins.")
    max_champion_loss: float = Field(
        0.005, description="Non-inferiority margin: the paired AUC difference's lower bound stays above -this."
    )
    stacking_min_samples: int = Field(20000, description="Rows needed before stacking may be considered.")
    bundle_valid_days: int = Field(45, gt=0, description="A promoted bundle expires after this many days.")
