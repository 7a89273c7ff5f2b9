"""One frozen, validated settings model; the only place that reads the environment.

Belongs here: every knob of the system with its unit in its name and a sentence that says what it changes.
Does not belong: derived state, secrets in clear text (they are `SecretStr` and masked in every dump).

Sources, strongest first: keyword arguments, environment variables with the prefix `ETH_PIPELINE_` (nested
fields with two underscores: `ETH_PIPELINE_EXCHANGE__FUTURES_URL`), the TOML file named by
`ETH_PIPELINE_CONFIG`, the defaults below.
"""

import hashlib
import json
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from eth_pipeline.errors import SettingsInvalid

Phase = Literal["paper", "live"]
StalePolicy = Literal["record", "degrade", "block", "halt"]
BaseInterval = Literal["15m", "1h"]
NetworkDevice = Literal["auto", "cpu", "cuda"]

INTERVALS = {"15m": timedelta(minutes=15), "1h": timedelta(hours=1)}


_SECRET_PARAMETERS = ("password", "sslpassword", "secret", "token")
_SECRET_IN_QUERY = re.compile(rf"([?&](?:{'|'.join(_SECRET_PARAMETERS)})=)[^&#]*", re.IGNORECASE)


class _Section(BaseModel):
    # No infinite limit is meant, and a refusal must not show what was refused: it may be a secret.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)


class ExchangeSettings(_Section):
    """Where market data comes from, and how patient we are with it."""

    futures_url: str = Field("https://fapi.binance.com", description="USDT-M futures REST host.")
    spot_url: str = Field("https://api.binance.com", description="Spot REST host.")
    archive_url: str = Field("https://data.binance.vision", description="Public archive host.")
    connect_timeout_seconds: float = Field(3.0, gt=0, description="TCP connect timeout of one request.")
    read_timeout_seconds: float = Field(10.0, gt=0, description="Read timeout of one request.")
    attempts: int = Field(3, ge=1, description="Tries of one request before it counts as failed.")
    weight_limit_per_minute: int = Field(2400, gt=0, description="Request weight per minute and address.")
    weight_reserve_share: float = Field(0.2, ge=0, lt=1, description="Share of the weight budget never used.")
    breaker_failures: int = Field(5, ge=1, description="Consecutive failures that open an endpoint's breaker.")
    breaker_cooldown_minutes: float = Field(10.0, gt=0, description="Minutes an open breaker waits for its probe.")
    archive_parallel_downloads: int = Field(8, ge=1, description="Archive files in flight at once.")
    bar_wait_seconds: float = Field(20.0, ge=0, description="How long ingestion waits for a bar just closing.")

    @field_validator("futures_url", "spot_url", "archive_url")
    @classmethod
    def _no_credentials(cls, value: str) -> str:
        return without_credentials(value)


class StreamLimits(_Section):
    """Freshness limit of one stream and what happens beyond it."""

    max_lag_hours: float = Field(gt=0, description="Newest row older than this is stale; measured on data time.")
    stale_policy: StalePolicy = Field(
        description="record: nothing; degrade: a source is lost; block: no signal; halt: none until released."
    )


class FreshnessSettings(_Section):
    """Lag limits per stream; the `cross_` ones are for the cross assets' symbols.

    A full hour needs the bar that just closed, so the main limits are one hour: between two full hours the
    lag stays below it, and reaches it exactly when a bar is missing.
    """

    klines: StreamLimits = StreamLimits(max_lag_hours=1.0, stale_policy="block")
    mark_klines: StreamLimits = StreamLimits(max_lag_hours=1.0, stale_policy="block")
    spot_klines: StreamLimits = StreamLimits(max_lag_hours=2.0, stale_policy="degrade")
    funding_rates: StreamLimits = StreamLimits(max_lag_hours=9.0, stale_policy="block")
    open_interest: StreamLimits = StreamLimits(max_lag_hours=3.0, stale_policy="degrade")
    premium_klines: StreamLimits = StreamLimits(max_lag_hours=2.0, stale_policy="record")
    positioning: StreamLimits = StreamLimits(max_lag_hours=3.0, stale_policy="record")
    cross_klines: StreamLimits = StreamLimits(max_lag_hours=1.0, stale_policy="degrade")
    cross_mark_klines: StreamLimits = StreamLimits(max_lag_hours=2.0, stale_policy="degrade")
    cross_spot_klines: StreamLimits = StreamLimits(max_lag_hours=2.0, stale_policy="degrade")
    cross_funding_rates: StreamLimits = StreamLimits(max_lag_hours=9.0, stale_policy="degrade")
    cross_premium_klines: StreamLimits = StreamLimits(max_lag_hours=2.0, stale_policy="record")
    gap_window_hours: int = Field(
        24, ge=1, description="A row of the main klines or mark klines absent or doubted in this window is a reason."
    )

    def limits(self, stream: str, *, is_main_symbol: bool) -> StreamLimits:
        """Limits of `stream` (a table name) for the main or a cross symbol."""
        found: StreamLimits = getattr(self, stream if is_main_symbol else f"cross_{stream}")
        return found


class LakeStoreSettings(_Section):
    """The object store of an `s3://` lake. What is empty is taken from the usual AWS_* variables or the host's role."""

    endpoint_url: str | None = Field(None, description="S3-compatible server; empty means AWS.")
    region: str | None = Field(None, description="Region of the bucket.")
    access_key_id: str | None = Field(None, description="Name of the key.")
    secret_access_key: SecretStr | None = Field(None, description="The key itself; never shown.")
    secret_access_key_file: Path | None = Field(
        None, description="File that holds the key; where `secret_access_key` is empty."
    )

    @field_validator("endpoint_url")
    @classmethod
    def _http(cls, value: str | None) -> str | None:
        if value is not None and (not value.startswith(("https://", "http://")) or "@" in value):
            raise ValueError("write it like https://store.example:9000, without a credential")
        return value

    @model_validator(mode="after")
    def _both_or_neither(self) -> "LakeStoreSettings":
        if (self.access_key_id is None) != (self.secret_access_key is None and self.secret_access_key_file is None):
            raise ValueError("`access_key_id` and its secret belong together; set both, or neither")
        return self

    def options(self) -> dict[str, str]:
        """What the readers and writers of Delta tables are told.

        Raises:
            SettingsInvalid: the file of the key cannot be read.
        """
        told = {
            "aws_endpoint_url": self.endpoint_url,
            "aws_allow_http": "true" if (self.endpoint_url or "").startswith("http://") else None,
            "aws_region": self.region,
            "aws_access_key_id": self.access_key_id,
            "aws_secret_access_key": self._secret(),
        }
        return {name: value for name, value in told.items() if value is not None}

    def _secret(self) -> str | None:
        if self.secret_access_key is not None:
            return self.secret_access_key.get_secret_value()
        if self.secret_access_key_file is None:
            return None
        try:
            return self.secret_access_key_file.read_text().strip()
        except OSError as error:
            raise SettingsInvalid(
                f"lake_store.secret_access_key_file: {error}. Name a file this user may read, or unset it."
            ) from error


class TrainingSettings(_Section):
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


class NetworkSettings(_Section):
    """How large the networks' trainings are, and where they run."""

    max_epochs: int = Field(12, ge=1, description="Passes of a network over its rows at most.")
    window_hours: int = Field(48, ge=4, description="Hours that one forecast of a network reads.")
    device: NetworkDevice = Field("auto", description="Where networks train; auto takes CUDA where there is one.")


class GateSettings(_Section):
    """Promotion gates; `design.md` defaults. A gate is never lowered to make a demo pass."""

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


class SignalSettings(_Section):
    """How scores and forecasts become an action."""

    min_consensus_strength: float = Field(40.0, description="Consensus strength (0-100) needed to act.")
    ml_weight: float = Field(
        0.5, ge=0, le=1, description="A forecast decides the direction; full opposition of the base leaves this share."
    )
    shadow_mode: bool = Field(False, description="Compute the forecast, record it, and let it change nothing.")
    extreme_probability: float = Field(0.02, description="Probabilities nearer to 0 or 1 than this are distrusted.")
    min_consensus_coverage: float = Field(0.5, description="Share of timeframe weight needed for a consensus.")


class InferenceSettings(_Section):
    """The remote inference service, how long the hourly run waits for it, and the candidate beside production.

    The local bundle forecasts whenever the service is disabled, slow, down or of another bundle.
    """

    enabled: bool = Field(False, description="Ask the service first; the local bundle is the fallback.")
    url: str = Field("http://127.0.0.1:5002", description="Where the service listens.")
    token: SecretStr | None = Field(None, description="Bearer token of the service; never shown.")
    token_file: Path | None = Field(None, description="File that holds the token; where `token` is empty.")
    connect_timeout_seconds: float = Field(1.0, gt=0, description="TCP connect timeout of one try.")
    read_timeout_seconds: float = Field(3.0, gt=0, description="Longest silence of the service within one try.")
    total_timeout_seconds: float = Field(6.0, gt=0, description="All tries of one hour together.")
    attempts: int = Field(2, ge=1, description="Tries of one hour before the local bundle forecasts.")
    breaker_failures: int = Field(3, ge=1, description="Consecutive failed hours that open the service's breaker.")
    breaker_cooldown_minutes: float = Field(10.0, gt=0, description="Minutes an open breaker waits for its probe.")
    max_request_bytes: int = Field(8 * 2**20, gt=0, description="The service refuses a larger body.")
    max_answer_bytes: int = Field(2**20, gt=0, description="The client refuses a larger body.")
    shadow_enabled: bool = Field(False, description="Let a candidate forecast beside production; it never acts.")
    shadow_bundle: Path | None = Field(
        None, description="Bundle folder of the candidate; empty means what the alias `candidate` brought here."
    )

    @field_validator("url")
    @classmethod
    def _no_credentials(cls, value: str) -> str:
        return without_credentials(value, instead="put the credential into `token` or `token_file`")


class AccountSettings(_Section):
    """Paper account."""

    initial_cash_usdt: float = Field(10_000.0, gt=0, description="Starting cash.")
    taker_fee_bps: float = Field(5.0, ge=0, description="Taker fee per fill.")
    slippage_bps: float = Field(2.0, ge=0, description="Slippage per fill, against us.")
    leverage: float = Field(2.0, gt=0, description="Leverage used for liquidation arithmetic.")
    max_single_share: float = Field(0.20, gt=0, le=1, description="Largest position as a share of equity.")
    stop_loss_share: float = Field(0.02, gt=0, lt=1, description="Stop distance from entry, on the mark price.")
    maintenance_margin_share: float = Field(0.005, gt=0, lt=1, description="Maintenance margin of the position.")
    take_profit_share: float | None = Field(
        None, gt=0, lt=1, description="Take-profit distance from entry, on the mark price; empty means none."
    )
    reduce_below_share: float = Field(
        0.5, ge=0, le=1, description="Reduce a position when the order wants less than this share of it; 0 never does."
    )
    max_total_share: float = Field(0.50, gt=0, le=1, description="Largest sum of positions as a share of equity.")
    reserve_share: float = Field(0.30, ge=0, lt=1, description="Share of equity that is never used as margin.")
    kelly_fraction: float = Field(0.25, gt=0, le=1, description="Share of the growth-optimal position that is taken.")
    kelly_interval_share: float = Field(
        0.0, ge=0, lt=1, description="Central interval of the forecast that must clear the costs; 0 asks the median."
    )
    volatility_target_share_per_year: float = Field(
        0.20, gt=0, description="Largest yearly volatility of equity that one position may cause."
    )
    max_daily_loss_share: float = Field(0.05, gt=0, le=1, description="Loss of 24 hours that forbids opening.")
    max_weekly_loss_share: float = Field(0.10, gt=0, le=1, description="Loss of 168 hours that forbids opening.")
    max_drawdown_share: float = Field(0.15, gt=0, le=1, description="Fall from the peak that forbids opening.")
    drawdown_since: AwareDatetime | None = Field(
        None, description="Only peaks from here on count; setting it releases the drawdown limit after a review."
    )


class AlertSettings(_Section):
    """What is told, to whom and when; docs/operations.md has a section per alert."""

    targets_file: Path | None = Field(
        None, description="File of Apprise URLs, one per line, mode 600; empty means nobody is told."
    )
    hold_off_minutes: float = Field(5.0, ge=0, description="A condition must last this long before it is told.")
    calm_minutes: float = Field(10.0, ge=0, description="A condition must be gone this long before it is over.")
    stale_streak_hours: int = Field(3, ge=1, description="Consecutive hours with a stale stream that are told.")
    ml_silent_hours: int = Field(3, ge=1, description="Consecutive hours without a forecast that are told.")
    always_hold_hours: int = Field(72, ge=1, description="Consecutive hours of HOLD that are told.")
    min_free_gigabytes: float = Field(5.0, gt=0, description="Less free space than this on a disk we write is told.")
    deadman_grace_minutes: float = Field(
        15.0, ge=0, description="Patience beyond the hour that a record may be late before silence is told."
    )


class RetentionSettings(_Section):
    """How long the Dagster instance remembers; dagster.yaml has the retention of ticks."""

    runs_days: int = Field(
        90, ge=7, description="Older runs go; not those that a promotion or an asset's newest state rests on."
    )


class BoardSettings(_Section):
    """The read-only board: who may look, and from when on its newest signal counts as overdue."""

    token_file: Path | None = Field(
        None, description="File that holds the token of pages and API; empty means only this machine may look."
    )
    allowed_hosts: tuple[str, ...] = Field(
        (), description="Host names, without port, by which a proxy or a browser may address the board."
    )
    overdue_after_minutes: float = Field(
        10.0, ge=0, lt=60, description="An hour without a record this long after it began is overdue."
    )
    refresh_seconds: int = Field(30, ge=5, description="How often an open page asks for new figures.")
    session_hours: float = Field(12.0, gt=0, description="A login in a browser lasts this long.")
    login_attempts_per_minute: int = Field(10, ge=1, description="Wrong tokens before the login form refuses to look.")


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
            dump[name] = _mask_password(dump[name])
        return dump

    def digest(self) -> str:
        """sha256 of the masked, expanded settings: the configuration's name in every record."""
        return hashlib.sha256(json.dumps(self.masked(), sort_keys=True).encode()).hexdigest()


def known_lake(location: str) -> str:
    """`location` as the lake takes it: a folder, or `s3://bucket/prefix`.

    Raises:
        ValueError: another scheme, no bucket, or a credential inside. Delta answers "no table" for a scheme that it
            does not know, so a slip of the pen would look like an empty lake.
    """
    scheme, separator, rest = location.partition("://")
    if not separator:
        if location.startswith(("s3:", "file:")):
            raise ValueError(f"{location!r} lacks the two slashes of {location.partition(':')[0]}://")
        return location
    if scheme == "file":
        return rest
    if scheme != "s3":
        raise ValueError(f"scheme {scheme}:// is not known; a lake is a folder, file:///folder or s3://bucket/prefix")
    if "@" in rest:
        raise ValueError("a URL is shown in dumps and logs; put the credential into `lake_store`")
    if not rest.partition("/")[0]:
        raise ValueError("s3:// names no bucket; write s3://bucket/prefix")
    return location


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


def without_credentials(url: str, *, instead: str = "public data needs none") -> str:
    """`url`, if nothing in it is a secret.

    Raises:
        ValueError: a user or a password is in it.
    """
    if "@" in url or url_passwords(url):
        raise ValueError(f"a URL is shown in dumps and logs; {instead}")
    return url


def url_passwords(url: str | None) -> tuple[str, ...]:
    """Every secret in a URL: before the host, and in its query (`?password=...`)."""
    try:
        parts = urlsplit(url or "")
    except ValueError:
        return ()
    asked = [value for name, value in parse_qsl(parts.query) if name.lower() in _SECRET_PARAMETERS]
    return tuple(password for password in (parts.password, *asked) if password)


def _mask_password(url: str | None) -> str | None:
    if not url or "://" not in url:
        return url
    url = _SECRET_IN_QUERY.sub(r"\1***", url)
    if "@" not in url:
        return url
    scheme, rest = url.split("://", 1)
    credentials, host = rest.rsplit("@", 1)
    return f"{scheme}://{credentials.split(':', 1)[0]}:***@{host}"
