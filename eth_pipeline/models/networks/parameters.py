"""What can be chosen of the networks, besides the data and the seed.

Belongs here: the values and why they are the defaults. Does not belong: the networks (`lstm_network`, `tft_network`),
the protocol (`lstm`, `tft`).

The defaults are small on purpose: hourly returns hold little that repeats, and a wide body learns the rest by heart.
"""

from dataclasses import dataclass, field

from eth_pipeline.models.networks.schedule import TrainingSchedule


@dataclass(frozen=True)
class LstmParameters:
    """Everything that changes the LSTM, besides the data and the seed.

    Attributes:
        window_hours: hours one forecast reads.
        features: features chosen inside the training part of each fold.
        clip: largest scaled input, in robust standard deviations.
        hidden: width of the recurrent state.
        layers: recurrent layers.
        dropout: share of inputs and of the last state that is blinded in training.
        schedule: how it is trained.
    """

    window_hours: int = 48
    features: int = 32
    clip: float = 5.0
    hidden: int = 32
    layers: int = 1
    dropout: float = 0.3
    schedule: TrainingSchedule = field(default_factory=TrainingSchedule)


@dataclass(frozen=True)
class TftParameters:
    """Everything that changes the TFT, besides the data and the seed.

    The sizes are the largest that two CPU cores train over four years within minutes, not the best of a search.

    Attributes:
        window_hours: hours one forecast reads.
        features: observed features chosen inside the training part of each fold; the calendar comes on top.
        clip: largest scaled input, in robust standard deviations.
        width: width of every layer; a multiple of `heads`.
        heads: attention heads.
        dropout: share blinded in every gate.
        levels: quantiles of the forward return that are learnt beside its sign.
        quantile_weight: weight of their pinball loss against the log loss of the sign.
        schedule: how it is trained.
    """

    window_hours: int = 48
    features: int = 12
    clip: float = 5.0
    width: int = 8
    heads: int = 4
    dropout: float = 0.2
    levels: tuple[float, ...] = (0.1, 0.5, 0.9)
    quantile_weight: float = 0.2
    schedule: TrainingSchedule = field(
        default_factory=lambda: TrainingSchedule(batch_rows=128, learning_rate=4e-3, lesson_stride=4)
    )
