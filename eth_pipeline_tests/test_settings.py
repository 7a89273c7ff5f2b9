"""Settings: sources, refusals that name the field, masked secrets."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from eth_pipeline.errors import SettingsInvalid
from eth_pipeline.settings import load_settings


def test_the_defaults_need_no_environment_at_all() -> None:
    settings = load_settings()
    assert settings.symbols == ("ETHUSDT", "BTCUSDT", "SOLUSDT", "BNBUSDT")
    assert settings.phase == "paper"
    assert settings.postgres_url is None


def test_environment_beats_file_and_file_beats_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "eth.toml"
    config.write_text('phase = "live"\n[exchange]\nattempts = 7\nbreaker_failures = 9\n')
    monkeypatch.setenv("ETH_PIPELINE_CONFIG", str(config))
    monkeypatch.setenv("ETH_PIPELINE_EXCHANGE__ATTEMPTS", "2")
    settings = load_settings()
    assert (settings.phase, settings.exchange.attempts, settings.exchange.breaker_failures) == ("live", 2, 9)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("ETH_PIPELINE_PHASE", "yolo", "phase: Input should be 'paper' or 'live'"),
        ("ETH_PIPELINE_EXCHANGE__ATTEMPTS", "0", "exchange.attempts"),
        ("ETH_PIPELINE_EXCHANGE__ATTEMPT", "1", "exchange.attempt"),
        ("ETH_PIPELINE_HISTORY_START", "2020-01-01T00:00:00", "offset"),
        ("ETH_PIPELINE_CROSS_SYMBOLS", '["ETHUSDT"]', "both `symbol` and one of `cross_symbols`"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsInvalid, match=words):
        load_settings()


def test_a_config_file_that_does_not_exist_is_an_error_not_a_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """A typo in the path used to mean: run with every default and nobody knows."""
    monkeypatch.setenv("ETH_PIPELINE_CONFIG", "/nowhere/eth.toml")
    with pytest.raises(SettingsInvalid, match="is no file"):
        load_settings()


def test_passwords_in_urls_are_masked_in_every_dump_and_do_not_change_the_digest() -> None:
    one = load_settings(postgres_url="postgresql://operator:hunter2@db:5432/dagster")
    two = load_settings(postgres_url="postgresql://operator:other@db:5432/dagster")
    assert one.masked()["postgres_url"] == "postgresql://operator:***@db:5432/dagster"
    assert "hunter2" not in str(one.masked())
    assert one.digest() == two.digest() != load_settings().digest()


def test_instants_are_utc_whatever_offset_they_were_written_with() -> None:
    settings = load_settings(history_start="2020-01-01T08:00:00+08:00")
    assert settings.history_start == datetime(2020, 1, 1, tzinfo=UTC)


def test_limits_of_a_cross_symbol_are_its_own() -> None:
    freshness = load_settings().freshness
    assert freshness.limits("klines", is_main_symbol=True).stale_policy == "block"
    assert freshness.limits("klines", is_main_symbol=False).stale_policy == "degrade"


def test_one_field_of_a_nested_section_can_be_set_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETH_PIPELINE_FRESHNESS__KLINES__STALE_POLICY", "halt")
    freshness = load_settings().freshness
    assert (freshness.klines.stale_policy, freshness.klines.max_lag_hours) == ("halt", 1.0)
    assert freshness.mark_klines.stale_policy == "block"
