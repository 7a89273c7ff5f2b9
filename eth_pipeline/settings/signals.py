"""Settings of the hourly decision.

Belongs here: how scores and forecasts become an action, who computes the forecast. Does not belong: size and risk
(`account`), limits of freshness (`freshness`).
"""

from pathlib import Path

from pydantic import Field, SecretStr, field_validator

from eth_pipeline.settings.section import Section
from eth_pipeline.settings.url_secrets import without_credentials


class SignalSettings(Section):
    """How scores and forecasts become an action."""

    min_consensus_strength: float = Field(40.0, description="Consensus strength (0-100) needed to act.")
    ml_weight: float = Field(
        0.5, ge=0, le=1, description="A forecast decides the direction; full opposition of the base leaves this share."
    )
    shadow_mode: bool = Field(False, description="Compute the forecast, record it, and let it change nothing.")
    extreme_probability: float = Field(0.02, description="Probabilities nearer to 0 or 1 than this are distrusted.")
    min_consensus_coverage: float = Field(0.5, description="Share of timeframe weight needed for a consensus.")


class InferenceSettings(Section):
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
