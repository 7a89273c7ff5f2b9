"""The algorithms by name: what `lightgbm` or `lstm` means, with the parameters that were measured to be the defaults.

Belongs here: the catalogue. Does not belong: any algorithm. Networks are imported when they are asked for.
"""

from dataclasses import replace

from eth_pipeline.errors import SettingsInvalid
from eth_pipeline.models.boosting import Boosting
from eth_pipeline.models.feature_view import FeatureView
from eth_pipeline.models.forecaster import Forecaster
from eth_pipeline.models.networks.schedule import TrainingSchedule
from eth_pipeline.settings import NetworkSettings

LIGHTGBM, CROSS_ASSET, LSTM, TFT = "lightgbm", "cross_asset", "lstm", "tft"
ALGORITHMS = (LIGHTGBM, CROSS_ASSET, LSTM, TFT)
_DEFAULT_NETWORKS = NetworkSettings()


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
    if name == LIGHTGBM:
        return Boosting()
    if name == CROSS_ASSET:
        return FeatureView(Boosting(), name=CROSS_ASSET, prefixes=cross_prefixes)
    if name == LSTM:
        from eth_pipeline.models.networks.lstm import Lstm, LstmParameters

        usual = LstmParameters()
        return Lstm(replace(usual, window_hours=networks.window_hours, schedule=_schedule(usual.schedule, networks)))
    if name == TFT:
        from eth_pipeline.models.networks.tft import Tft, TftParameters

        published = TftParameters()
        schedule = _schedule(published.schedule, networks)
        return Tft(replace(published, window_hours=networks.window_hours, schedule=schedule))
    raise SettingsInvalid(f"No algorithm is called {name!r}. Choose from: {', '.join(ALGORITHMS)}.")


def _schedule(own: TrainingSchedule, networks: NetworkSettings) -> TrainingSchedule:
    return replace(own, max_epochs=networks.max_epochs, device=networks.device)
