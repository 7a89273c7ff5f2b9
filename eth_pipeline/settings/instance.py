"""The whole configuration of one instance; the only place that reads the environment.

Belongs here: what is of no section (home, symbols, phase, keys), the sources, masking, the digest. Does not belong:
derived state, secrets in clear text (they are `SecretStr` and masked in every dump).
"""

import hashlib
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from eth_pipeline.errors import SettingsInvalid
from eth_pipeline.settings.account import AccountSettings
from eth_pipeline.settings.board import BoardSettings
from eth_pipeline.settings.exchange import ExchangeSettings
from eth_pipeline.settings.freshness import FreshnessSettings
from eth_pipeline.settings.lake import LakeStoreSettings, known_lake
from eth_pipeline.settings.operations import AlertSettings, RetentionSettings
from eth_pipeline.settings.signals import InferenceSettings, SignalSettings
from eth_pipeline.settings.training import GateSettings, NetworkSettings, TrainingSettings
from eth_pipeline.settings.url_secrets import masked_url

Phase = Literal["paper", "live"]
Language = Literal["en", "zh"]
BaseInterval = Literal["15m", "1h"]

INTERVALS = {"15m": timedelta(minutes=15), "1h": timedelta(hours=1)}


class Settings(BaseSettings):
    """The whole configuration, frozen."""

    model_config = SettingsConfigDict(
        env_prefix="ETH_PIPELINE_",
        env_nested_delimiter="__",
        nested_model_default_partial_update=True,
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        hide_input_in_errors=True,
    )

    home: Path = Field(Path("~/.eth_pipeline"), description="Folder of everything this host writes.")
    lake_url: str | None = Field(
        None, description="Delta lake: a folder or s3://bucket/prefix; empty means <home>/lake."
    )
    mlflow_tracking_uri: str | None = Field(None, description="MLflow; empty means SQLite under <home>/mlflow.")
    postgres_url: str | None = Field(None, description="Dagster storage; empty means SQLite under <home>.")
    lake_retention_hours: int = Field(24 * 60, ge=24, description="Old table versions stay readable this long.")
    phase: Phase = Field("paper", description="paper may degrade; live is fail-closed.")
    language: Language = Field(
        "en",
        description="Language of what people read in operation: reasons, alerts, board, terminal tables.",
    )
    symbol: str = Field("ETHUSDT", description="The traded symbol.")
    cross_symbols: tuple[str, ...] = Field(("BTCUSDT", "SOLUSDT", "BNBUSDT"), description="Feature symbols.")
    base_interval: BaseInterval = Field("15m", description="Ingested bar size; larger bars are derived.")
    history_start: datetime = Field(datetime(2020, 1, 1, tzinfo=UTC), description="First instant ingested.")
    signing_public_keys: tuple[Path, ...] = Field(
        (), description="Pinned keys bundles must be signed with; empty means <home>/keys/bundle.pub."
    )
    signing_private_key: Path | None = Field(None, description="Signing key; empty means <home>/keys/bundle.key.")
    peer_public_keys: tuple[Path, ...] = Field(
        (), description="Keys of the other side of an air gap: what they signed is imported, and never run by itself."
    )
    lake_store: LakeStoreSettings = LakeStoreSettings()
    exchange: ExchangeSettings = ExchangeSettings()
    freshness: FreshnessSettings = FreshnessSettings()
    training: TrainingSettings = TrainingSettings()
    networks: NetworkSettings = NetworkSettings()
    gates: GateSettings = GateSettings()
    signals: SignalSettings = SignalSettings()
    inference: InferenceSettings = InferenceSettings()
    account: AccountSettings = AccountSettings()
    board: BoardSettings = BoardSettings()
    alerts: AlertSettings = AlertSettings()
    retention: RetentionSettings = RetentionSettings()

    @field_validator("home")
    @classmethod
    def _absolute_home(cls, value: Path) -> Path:
        try:
            return value.expanduser().resolve()
        except (RuntimeError, OSError) as error:  # no such user; a loop of links; a name too long
            raise ValueError(f"cannot be followed to a folder ({error}); write an absolute path") from error

    @field_validator("lake_url")
    @classmethod
    def _known_scheme(cls, value: str | None) -> str | None:
        return None if value is None else known_lake(value)

    @field_validator("history_start")
    @classmethod
    def _aware_history_start(cls, value: datetime) -> datetime:
        if value.tzinfo is None:
            raise ValueError("history_start needs an offset, for example 2020-01-01T00:00:00Z")
        try:
            return value.astimezone(UTC)
        except OverflowError as error:
            raise ValueError("history_start lies before the year 1 or after the year 9999 in UTC") from error

    @model_validator(mode="after")
    def _main_is_not_cross(self) -> "Settings":
        if self.symbol in self.cross_symbols:
            raise ValueError(f"{self.symbol} is both `symbol` and one of `cross_symbols`; remove it there")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Keyword arguments, environment, TOML file, defaults; in this order."""
        del dotenv_settings, file_secret_settings  # secrets have files of their own, each named by a setting
        sources: list[PydanticBaseSettingsSource] = [init_settings, env_settings]
        config = os.environ.get("ETH_PIPELINE_CONFIG")
        if config:
            sources.append(_config_file(settings_cls, config))
        return tuple(sources)

    @property
    def symbols(self) -> tuple[str, ...]:
        """The main symbol first, then the cross symbols."""
        return (self.symbol, *self.cross_symbols)

    @property
    def base_delta(self) -> timedelta:
        """Length of one ingested bar."""
        return INTERVALS[self.base_interval]

    @property
    def lake_location(self) -> str:
        """Where the Delta tables live."""
        return self.lake_url or str(self.home / "lake")

    @property
    def mlflow_location(self) -> str:
        """MLflow tracking and registry URI."""
        return self.mlflow_tracking_uri or f"sqlite:///{self.home / 'mlflow' / 'mlflow.db'}"

    @property
    def dagster_home(self) -> Path:
        """The Dagster instance folder."""
        return self.home / "dagster"

    @property
    def private_key_path(self) -> Path:
        """EC key that signs bundles; only the host that promotes has it."""
        return self.signing_private_key or self.home / "keys" / "bundle.key"

    @property
    def public_key_paths(self) -> tuple[Path, ...]:
        """Pinned keys; a bundle signed by any of them is accepted (rotation overlap)."""
        return self.signing_public_keys or (self.home / "keys" / "bundle.pub",)

    def masked(self) -> dict[str, Any]:
        """Fully expanded settings as JSON types, passwords in URLs masked."""
        dump: dict[str, Any] = self.model_dump(mode="json")
        for name in ("postgres_url", "mlflow_tracking_uri", "lake_url"):
            dump[name] = masked_url(dump[name])
        return dump

    def digest(self) -> str:
        """sha256 of the masked, expanded settings: the configuration's name in every record."""
        return hashlib.sha256(json.dumps(self.masked(), sort_keys=True).encode()).hexdigest()


def load_settings(**overrides: Any) -> Settings:
    """Read the settings from environment and file.

    Raises:
        SettingsInvalid: with one line per wrong field, saying which and why.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, e['loc'])) or 'settings'}: {e['msg']}" for e in error.errors()]
        raise SettingsInvalid(
            "The settings are not usable:\n"
            + "\n".join(lines)
            + "\nCorrect the ETH_PIPELINE_* variables or the file named by ETH_PIPELINE_CONFIG."
        ) from error
    except SettingsError as error:
        raise SettingsInvalid(
            f"The settings cannot be read: {error}. A section or a list in an ETH_PIPELINE_* variable is written as "
            "JSON, for example ETH_PIPELINE_CROSS_SYMBOLS='[\"BTCUSDT\"]'. Correct it."
        ) from error


def _config_file(settings_cls: type[BaseSettings], config: str) -> TomlConfigSettingsSource:
    """The file of settings, read.

    Raises:
        SettingsInvalid: there is none, it may not be read, or it is no TOML.
    """
    try:
        if not Path(config).is_file():
            raise SettingsInvalid(f"ETH_PIPELINE_CONFIG names {config}, which is no file. Correct or unset it.")
        return TomlConfigSettingsSource(settings_cls, toml_file=config)
    except (OSError, ValueError, RecursionError) as error:  # ValueError: no TOML, no UTF-8
        raise SettingsInvalid(
            f"ETH_PIPELINE_CONFIG names {config}, which cannot be read as TOML: {error}. Correct the file."
        ) from error
