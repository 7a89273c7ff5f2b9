"""The command line from outside: exit codes, one clear message on failure, JSON that a program can read, no secrets."""

import json
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from signal import SIG_IGN, SIGINT, default_int_handler, getsignal
from signal import signal as handle

import pytest
from click.testing import Result
from typer.testing import CliRunner

from eth_pipeline.cli import app
from eth_pipeline.cli.market import MarketPlan
from eth_pipeline.contracts.signal import MlFields
from eth_pipeline.contracts.tables import FUNDING_RATES, KLINES, MARK_KLINES
from eth_pipeline.lake import Lake
from eth_pipeline.operations.config_audit import record_configuration
from eth_pipeline.operations.signal_log import SignalLog
from eth_pipeline.sandbox.server import Sandbox
from eth_pipeline.sandbox.synthetic import SyntheticMarket
from eth_pipeline.settings import Settings, load_settings
from eth_pipeline.signals.gating.gate import MlAvailability
from eth_pipeline_tests.decision_samples import HOUR, MODEL, NOON, bars, forecast, funding, mark_bars, signal, walk
from eth_pipeline_tests.spoken_chinese import english_in

CLOCK = NOON + timedelta(seconds=20)
READ_COMMANDS = (
    ("signals", "tail"),
    ("signals", "show"),
    ("signals", "show", "2025-03-03T12:00:00Z"),
    ("manifest",),
    ("config", "show"),
    ("config", "history"),
    ("config", "diff"),
    ("health",),
)


@pytest.fixture(scope="module")
def exchange() -> Iterator[Sandbox]:
    """An exchange that answers what time it is: twenty seconds past noon."""
    market = SyntheticMarket(
        seed=7, start=NOON - timedelta(days=2), end=NOON + timedelta(days=5), signal_strength=0.0, symbols=("ETHUSDT",)
    )
    with Sandbox(market, now=CLOCK) as sandbox:
        yield sandbox


@pytest.fixture
def empty(exchange: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A home that nothing was written to yet."""
    exchange.clock.set(CLOCK)
    for host in ("FUTURES", "SPOT", "ARCHIVE"):
        monkeypatch.setenv(f"ETH_PIPELINE_EXCHANGE__{host}_URL", exchange.url)
    monkeypatch.setenv("ETH_PIPELINE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ETH_PIPELINE_BASE_INTERVAL", "1h")
    monkeypatch.setenv("ETH_PIPELINE_CROSS_SYMBOLS", '["BTCUSDT"]')
    return load_settings()


@pytest.fixture
def settings(empty: Settings) -> Settings:
    """A home with fresh streams and two signals, the newest with a forecast."""
    lake = Lake(empty.lake_location)
    for symbol in empty.symbols:
        lake.upsert(KLINES, bars(walk(4), first=NOON - 4 * HOUR, symbol=symbol))
        lake.upsert(MARK_KLINES, mark_bars(walk(4), first=NOON - 4 * HOUR, symbol=symbol))
        lake.upsert(FUNDING_RATES, funding({NOON - 4 * HOUR: 0.0001}, symbol=symbol))
    answered = MlAvailability(True, None, "version 7 answered")
    newest = signal(empty, ml=answered, forecast=forecast(0.61, 0.58, 0.55), model=MODEL)
    SignalLog(lake, folder=empty.home / "logs").write_many([signal(empty, NOON - HOUR), newest])
    for used in (empty.model_copy(update={"lake_retention_hours": 48}), empty):
        record_configuration(used, now=NOON, command="test", commit="c0ffee")
    return empty


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def flat(table: str) -> str:
    """A table's text without frame and line breaks, which depend on the width of the terminal."""
    return "".join(table.replace("│", " ").split())


def refused(result: Result, *words: str) -> None:
    """Exit 1, a message with `words` on stderr, nothing on stdout, no traceback."""
    assert result.exit_code == 1, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    said = " ".join(result.stderr.split())
    for word in words:
        assert word in said
    assert "Traceback" not in result.output
    assert result.stdout == ""


@pytest.mark.parametrize("command", READ_COMMANDS, ids=" ".join)
def test_every_read_command_speaks_json_and_nothing_else(settings: Settings, command: tuple[str, ...]) -> None:
    result = call(*command, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)


@pytest.mark.parametrize("command", READ_COMMANDS, ids=" ".join)
def test_every_read_command_shows_a_table_to_people(settings: Settings, command: tuple[str, ...]) -> None:
    result = call(*command)
    assert result.exit_code == 0, result.output
    assert len(result.stdout.splitlines()) >= 3


@pytest.mark.parametrize("command", READ_COMMANDS, ids=" ".join)
def test_every_table_has_its_title_and_its_heads_in_the_language_of_the_settings(
    settings: Settings, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ETH_PIPELINE_LANGUAGE", "zh")
    title, _, heads, *_ = call(*command).stdout.splitlines()
    assert english_in(title) == []
    assert [english_in(head) for head in heads.strip(" ┃").split("┃")] == [[]] * (heads.count("┃") - 1)


def test_a_setting_with_brackets_is_shown_as_it_is(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The terminal's markup is written in brackets: `[red]` was swallowed, `[/x]` ended the command."""
    monkeypatch.setenv("ETH_PIPELINE_ALERTS__TARGETS_FILE", "/[red]/[/x]")
    result = call("config", "show")
    assert result.exit_code == 0, result.output
    assert "[red]/[/x]" in flat(result.stdout)


def test_the_difference_of_the_last_two_configurations_is_the_setting_that_changed(settings: Settings) -> None:
    found = json.loads(call("config", "diff", "--json").stdout)
    assert [(item["setting"], item["before"]) for item in found] == [("lake_retention_hours", 48)]
    refused(call("config", "diff", "nonsense", settings.digest()[:8]), "config history")


def test_signals_as_json_carry_every_ml_field_at_top_level(settings: Settings) -> None:
    older, newest = json.loads(call("signals", "tail", "--json").stdout)
    assert set(MlFields.model_fields) <= set(newest)
    assert set(MlFields.model_fields) <= set(older)
    assert (older["ml_prob_up_5h"], newest["ml_prob_up_5h"]) == (None, 0.61)
    assert newest["decision_time"] == "2025-03-03T12:00:00Z"
    assert json.loads(call("signals", "show", "--json").stdout) == newest
    assert json.loads(call("signals", "show", "2025-03-03T11:00:00Z", "--json").stdout) == older


def test_tail_takes_the_newest_hours(settings: Settings) -> None:
    (only,) = json.loads(call("signals", "tail", "-n", "1", "--json").stdout)
    assert only["decision_time"] == "2025-03-03T12:00:00Z"


def test_the_manifest_names_commit_configuration_and_packages(settings: Settings) -> None:
    value = json.loads(call("manifest", "--json").stdout)
    assert value["code"]["commit"]
    assert value["config_digest"] == settings.digest()
    assert value["packages"]["dagster"] == "1.13.27"
    assert value["table_versions"]["klines"] >= 0
    assert value["provenance"] == "simulated"


def test_the_configuration_is_shown_without_its_secrets(empty: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETH_PIPELINE_POSTGRES_URL", "postgresql://ann:hunter2@db.example/dagster")
    monkeypatch.setenv("ETH_PIPELINE_MLFLOW_TRACKING_URI", "https://ann:hunter2@mlflow.example")
    monkeypatch.setenv("ETH_PIPELINE_LAKE_URL", "s3://bucket/lake")
    monkeypatch.setenv("ETH_PIPELINE_LAKE_STORE__ACCESS_KEY_ID", "ann")
    monkeypatch.setenv("ETH_PIPELINE_LAKE_STORE__SECRET_ACCESS_KEY", "hunter2")
    for arguments in (("config", "show"), ("config", "show", "--json")):
        result = call(*arguments)
        assert result.exit_code == 0
        assert "hunter2" not in flat(result.output)
    value = json.loads(call("config", "show", "--json").stdout)
    assert value["digest"] == load_settings().digest()
    assert value["settings"]["postgres_url"] == "postgresql://ann:***@db.example/dagster"


def test_health_is_green_when_every_required_check_passes(settings: Settings) -> None:
    result = call("health", "--verbose")
    assert result.exit_code == 0, result.output
    assert "healthy" in result.stdout
    assert flat("klines ETHUSDT fresh") in flat(result.stdout)


def test_health_names_the_stale_stream_and_exits_1(settings: Settings, exchange: Sandbox) -> None:
    exchange.clock.set(CLOCK + 77 * HOUR)
    result = call("health")
    assert result.exit_code == 1
    assert flat("klines ETHUSDT fresh") in flat(result.stdout)
    assert flat("77.01 h old") in flat(result.stdout)
    value = json.loads(call("health", "--json").stdout)
    assert value["healthy"] is False


def test_health_gates_and_lineage_speak_the_language_of_the_settings(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """JSON has no language: what a program reads does not change with the setting."""
    english = json.loads(call("health", "--json").stdout)
    monkeypatch.setenv("ETH_PIPELINE_LANGUAGE", "zh")
    health, lineage = flat(call("health", "--verbose").stdout), flat(call("signals", "lineage").stdout)
    for words in ("健康检查", "数据湖可读", "没有注册表", "K线ETHUSDT新鲜", "健康"):
        assert words in health
    assert "的血缘" in lineage
    assert flat("数值的 SHA-256") in lineage or flat("作决策时该表还不存在") in lineage
    same = json.loads(call("health", "--json").stdout)
    assert [check["name"] for check in same["checks"]] == [check["name"] for check in english["checks"]]
    assert "信号" not in call("signals", "lineage", "--json").stdout


def test_health_of_a_home_without_a_lake_exits_1_and_says_what_to_do(empty: Settings) -> None:
    result = call("health")
    assert result.exit_code == 1
    assert flat("lake readable") in flat(result.stdout)
    assert flat("Run the hourly job once") in flat(result.stdout)
    assert "Traceback" not in result.output


def test_health_of_a_host_whose_exchange_does_not_answer_exits_1(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for host in ("FUTURES", "SPOT", "ARCHIVE"):
        monkeypatch.setenv(f"ETH_PIPELINE_EXCHANGE__{host}_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("ETH_PIPELINE_EXCHANGE__ATTEMPTS", "1")
    result = call("health")
    assert result.exit_code == 1
    assert flat("exchange answers") in flat(result.stdout)


@pytest.mark.parametrize(
    "arguments",
    [
        ("no-such-command",),
        ("signals", "tail", "-n", "0"),
        ("signals", "tail", "--no-such-option"),
        ("signals", "show", "2025-03-03T12:00:00Z", "another"),
        ("demo", "--years", "0.1"),
        ("sandbox", "serve", "--strength", "-1"),
        ("config",),
        (),
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_2(arguments: tuple[str, ...]) -> None:
    result = call(*arguments)
    assert result.exit_code == 2
    assert "Traceback" not in result.output


@pytest.mark.parametrize("command", [("signals", "tail"), ("signals", "show"), ("signals", "tail", "--json")])
def test_without_any_signal_the_message_says_what_to_run(empty: Settings, command: tuple[str, ...]) -> None:
    refused(call(*command), "No signal of phase paper is recorded", "Run the hourly job")


def test_an_unknown_hour_is_refused_with_the_way_to_find_one(settings: Settings) -> None:
    refused(call("signals", "show", "2024-01-01T00:00:00Z"), "No record of 2024-01-01T00:00:00Z", "signals tail")


@pytest.mark.parametrize("hour", ["yesterday", "2025-03-03T12:00:00"])
def test_an_hour_that_cannot_be_read_is_refused_with_an_example(settings: Settings, hour: str) -> None:
    refused(call("signals", "show", hour), hour, "Write it like 2025-06-29T12:00:00Z")


@pytest.mark.parametrize("command", [("demo",), ("sandbox", "serve", "--port", "0")], ids=" ".join)
def test_a_bad_instant_or_folder_is_refused_before_anything_starts(tmp_path: Path, command: tuple[str, ...]) -> None:
    home = ("--home", str(tmp_path / "home")) if command == ("demo",) else ()
    refused(call(*command, *home, "--as-of", "noon"), "--as-of 'noon'", "Write it like 2025-06-29T12:00:00Z")
    refused(call(*command, *home, "--as-of", "2025-06-29T12:00:00"), "time zone")
    refused(call(*command, *home, "--replay", str(tmp_path)), "holds no klines_", "Name a folder of recordings")
    refused(call(*command, *home, "--replay", str(tmp_path / "absent")), "Name a folder of recordings")
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    "change", [("--seed", "8"), ("--strength", "0"), ("--years", "3"), ("--as-of", "2025-06-01T00:00Z")]
)
def test_the_demo_refuses_a_home_that_holds_another_market(tmp_path: Path, change: tuple[str, str]) -> None:
    MarketPlan.make(replay=None, as_of=None, strength=1.0, seed=7, years=2.0).save(tmp_path)
    before = (tmp_path / "market.json").read_bytes()
    refused(call("demo", "--home", str(tmp_path), *change), "another market", "Name another --home")
    assert (tmp_path / "market.json").read_bytes() == before


@pytest.mark.parametrize("as_of", [None, "2025-06-29T12:00:00Z", "2025-06-29T12:00:00.5Z", "2025-06-29T14:00:00+02:00"])
def test_a_saved_market_is_the_market_that_was_asked_for(tmp_path: Path, as_of: str | None) -> None:
    """Otherwise the second run of the same command would be refused."""
    plan = MarketPlan.make(replay=None, as_of=as_of, strength=0.3, seed=9, years=1.5)
    plan.save(tmp_path)
    assert MarketPlan.load(tmp_path) == plan


def test_a_damaged_market_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "market.json").write_text("{ half")
    refused(call("demo", "--home", str(tmp_path)), "market.json is no saved market", "Remove this home")


def test_a_wrong_setting_is_one_message_that_names_it(empty: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETH_PIPELINE_PHASE", "hope")
    for command in (("config", "show"), ("manifest",), ("signals", "tail"), ("health",)):
        refused(call(*command), "phase", "ETH_PIPELINE_")


def test_a_damaged_lake_is_one_message_and_no_traceback(settings: Settings) -> None:
    for commit in (Path(settings.lake_location) / "signals" / "_delta_log").glob("*.json"):
        commit.write_text("{ no json")
    refused(call("signals", "tail"), "The lake cannot be read", "config show")


def test_reading_changes_nothing_in_the_environment(settings: Settings) -> None:
    before = dict(os.environ)
    for command in READ_COMMANDS:
        call(*command)
    assert dict(os.environ) == before


def test_a_command_in_the_background_of_a_script_still_hears_an_interrupt(empty: Settings) -> None:
    """`command &` ignores SIGINT for it and its children; Dagster stops its helpers by one and waits for them."""
    before = handle(SIGINT, SIG_IGN)
    try:
        assert CliRunner().invoke(app, ["config", "show"]).exit_code == 0
        assert getsignal(SIGINT) is default_int_handler
        handle(SIGINT, own := lambda number, frame: None)
        CliRunner().invoke(app, ["config", "show"])
        assert getsignal(SIGINT) is own, "a handler that somebody set stays"
    finally:
        handle(SIGINT, before)
