"""Settings of the exchange's doors.

Belongs here: hosts, timeouts, weights, breakers. Does not belong: how old data may be (`freshness`).
"""

from pydantic import Field, field_validator

from eth_pipeline.settings.section import Section
from eth_pipeline.settings.url_secrets import without_credentials


class ExchangeSettings(Section):
    """Where market data comes from, and how patient we are with it."""

    futures_url: str = Field("https://fapi.binance.com", description="USDT-M futures REST host.")
    spot_url: str = Field("https://api.binance.com", description="Spot REST host.")
    archive_url: str = Field("https://data.binance.vision", description="Public archive host.")
    connect_timeout_seconds: float = Field(3.0, gt=0, description="TCP connect timeout of one request.")
    read_timeout_seconds: float = Field(10.0, gt=0, description="Read timeout of one request.")
    attempts: int = Field(3, ge=1, description="Tries of one request before it counts as failed.")
    retry_wait_seconds: float = Field(0.2, ge=0, description="Pause before a second try; twice as long at each next.")
    weight_limit_per_minute: int = Field(2400, gt=0, description="Request weight per minute and address.")
    weight_reserve_share: float = Field(0.2, ge=0, lt=1, description="Share of the weight budget never used.")
    breaker_failures: int = Field(5, ge=1, description="Consecutive failures that open an endpoint's breaker.")
    breaker_cooldown_minutes: float = Field(10.0, gt=0, description="Minutes an open breaker waits for its probe.")
    max_answer_bytes: int = Field(32 * 2**20, gt=0, description="A larger answer of the REST hosts is refused.")
    max_file_bytes: int = Field(256 * 2**20, gt=0, description="A larger archive file is refused.")
    archive_parallel_downloads: int = Field(8, ge=1, description="Archive files in flight at once.")
    bar_wait_seconds: float = Field(20.0, ge=0, description="How long ingestion waits for a bar just closing.")

    @field_validator("futures_url", "spot_url", "archive_url")
    @classmethod
    def _no_credentials(cls, value: str) -> str:
        return without_credentials(value, instead="public data needs no credential")
