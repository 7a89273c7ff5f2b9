"""The algorithms by name: what `lightgbm` or `lstm` means, with the parameters that were measured to be the defaults.

Belongs here: the catalogue. Does not belong: any algorithm. Networks are imported when they are asked for.
"""

from eth_pipeline.errors import SettingsInvalid
from eth_pipeline.models.boosting import Boosting
from eth_pipeline.models.feature_view import FeatureView
from eth_pipeline.models.forecaster import Forecaster

LIGHTGBM, CROSS_ASSET, LSTM, TFT = "lightgbm", "cross_asset", "lstm", "tft"
ALGORITHMS = (LIGHTGBM, CROSS_ASSET, LSTM, TFT)


def forecaster_named(name: str, *, cross_prefixes: tuple[str, ...]) -> Forecaster:
    """The forecaster called `name`, with its default parameters.

    Args:
        name: one of `ALGORITHMS`.
        cross_prefixes: beginnings of the names of cross-asset features: `btc_`.

    Raises:
        SettingsInvalid: there is none of that name.
    """
    if name == LIGHTGBM:
        return Boosting()
    if name == CROSS_ASSET:
        return FeatureView(Boosting(), name=CROSS_ASSET, prefixes=cross_prefixes)
    if name == LSTM:
        from eth_pipeline.models.networks.lstm import Lstm

        return Lstm()
    if name == TFT:
        from eth_pipeline.models.networks.tft import Tft

        return Tft()
    raise SettingsInvalid(f"No algorithm is called {name!r}. Choose from: {', '.join(ALGORITHMS)}.")
