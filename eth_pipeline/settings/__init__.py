"""One frozen, validated settings model: every knob with its unit in its name and a sentence that says what it changes.

Belongs here: a file per noun (`exchange`, `freshness`, `lake`, `training`, `signals`, `account`, `operations`,
`board`), secrets in URLs (`url_secrets`), files of the operator (`operator_file`), the whole (`instance`), and
docs/settings.md (`documentation`). Does not belong: derived state.

Sources, strongest first: keyword arguments, environment variables with the prefix `ETH_PIPELINE_` (nested
fields with two underscores: `ETH_PIPELINE_EXCHANGE__FUTURES_URL`), the TOML file named by
`ETH_PIPELINE_CONFIG`, the defaults.
"""

from eth_pipeline.settings.account import AccountSettings
from eth_pipeline.settings.board import BoardSettings
from eth_pipeline.settings.exchange import ExchangeSettings
from eth_pipeline.settings.freshness import FreshnessSettings, StalePolicy, StreamLimits
from eth_pipeline.settings.instance import INTERVALS, BaseInterval, Language, Phase, Settings, load_settings
from eth_pipeline.settings.lake import LakeStoreSettings, known_lake
from eth_pipeline.settings.operations import AlertSettings, RetentionSettings
from eth_pipeline.settings.signals import InferenceSettings, SignalSettings
from eth_pipeline.settings.training import GateSettings, NetworkDevice, NetworkSettings, TrainingSettings

__all__ = [
    "INTERVALS",
    "AccountSettings",
    "AlertSettings",
    "BaseInterval",
    "BoardSettings",
    "ExchangeSettings",
    "FreshnessSettings",
    "GateSettings",
    "InferenceSettings",
    "LakeStoreSettings",
    "Language",
    "NetworkDevice",
    "NetworkSettings",
    "Phase",
    "RetentionSettings",
    "Settings",
    "SignalSettings",
    "StalePolicy",
    "StreamLimits",
    "TrainingSettings",
    "known_lake",
    "load_settings",
]
