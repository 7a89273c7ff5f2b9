"""The algorithms by name: what `lightgbm` or `lstm` means, with the parameters that were measured to be the defaults.

Belongs here: the catalogue; assets, jobs and bundles take an algorithm from its entry. Does not belong: any algorithm.
Networks are imported when they are asked for.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from eth_pipeline.errors import SettingsInvalid
from eth_pipeline.models.feature_view import FeatureView
from eth_pipeline.models.forecaster import Forecaster
from eth_pipeline.models.networks.schedule import TrainingSchedule
from eth_pipeline.models.trees.boosting import Boosting
from eth_pipeline.settings import NetworkSettings

LIGHTGBM, CROSS_ASSET, LSTM, TFT = "lightgbm", "cross_asset", "lstm", "tft"
_DEFAULT_NETWORKS = NetworkSettings()


@dataclass(frozen=True)
class Surroundings:
    """What an algorithm may depend on besides its own parameters.

    Attributes:
        cross_prefixes: beginnings of the names of cross-asset features: `btc_`.
        networks: size and place of the networks' trainings.
    """

    cross_prefixes: tuple[str, ...]
    networks: NetworkSettings


@dataclass(frozen=True)
class Algorithm:
    """One entry of the catalogue.

    Attributes:
        description: a sentence for the asset's page.
        made_with: the library, as the Dagster UI labels it.
        make: the forecaster with its default parameters.
        network: trains where networks train; too slow on a small host to be permuted feature by feature.
    """

    description: str
    made_with: str
    make: Callable[[Surroundings], Forecaster]
    network: bool = False


def _lstm(around: Surroundings) -> Forecaster:
    from eth_pipeline.models.networks.lstm import Lstm
    from eth_pipeline.models.networks.parameters import LstmParameters

    usual, networks = LstmParameters(), around.networks
    return Lstm(replace(usual, window_hours=networks.window_hours, schedule=_schedule(usual.schedule, networks)))


def _tft(around: Surroundings) -> Forecaster:
    from eth_pipeline.models.networks.parameters import TftParameters
    from eth_pipeline.models.networks.tft import Tft

    published, networks = TftParameters(), around.networks
    schedule = _schedule(published.schedule, networks)
    return Tft(replace(published, window_hours=networks.window_hours, schedule=schedule))


def _schedule(own: TrainingSchedule, networks: NetworkSettings) -> TrainingSchedule:
    return replace(own, max_epochs=networks.max_epochs, device=networks.device)


ALGORITHMS: dict[str, Algorithm] = {
    LIGHTGBM: Algorithm(
        "The primary: gradient-boosted trees on every feature, one ensemble per horizon.",
        "lightgbm",
        lambda _: Boosting(),
    ),
    CROSS_ASSET: Algorithm(
        "Gradient-boosted trees that see the other coins only: a second opinion with other eyes.",
        "lightgbm",
        lambda around: FeatureView(Boosting(), name=CROSS_ASSET, prefixes=around.cross_prefixes),
    ),
    LSTM: Algorithm(
        "A recurrent network over the last hours, one body and a head per horizon.", "pytorch", _lstm, network=True
    ),
    TFT: Algorithm(
        "A temporal fusion transformer: variable selection, gated residuals, interpretable attention.",
        "pytorch",
        _tft,
        network=True,
    ),
}


def forecaster_named(
    name: str,
    *,
    cross_prefixes: tuple[str, ...],
    networks: NetworkSettings = _DEFAULT_NETWORKS,
) -> Forecaster:
    """The forecaster called `name`, with its default parameters.

    Args:
        name: one of `ALGORITHMS`.
        cross_prefixes: beginnings of the names of cross-asset features: `btc_`.
        networks: size and place of the networks' trainings.

    Raises:
        SettingsInvalid: there is none of that name.
    """
    if name not in ALGORITHMS:
        raise SettingsInvalid(f"No algorithm is called {name!r}. Choose from: {', '.join(ALGORITHMS)}.")
    return ALGORITHMS[name].make(Surroundings(cross_prefixes=cross_prefixes, networks=networks))
