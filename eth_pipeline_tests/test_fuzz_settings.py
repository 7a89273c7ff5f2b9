"""Any environment and any file of settings: settings that are whole, or a refusal in words that shows no secret."""

import json
import os
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr, ValidationError

from eth_pipeline.errors import SettingsInvalid
from eth_pipeline.settings import InferenceSettings, LakeStoreSettings, Settings, load_settings
from eth_pipeline_tests.damage import damaged

CANARY = "canary-2b8e61"


def fields(model: type[BaseModel], before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of every field, sections too."""
    for name, field in model.model_fields.items():
        yield (*before, name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from fields(field.annotation, (*before, name))


FIELDS = list(fields(Settings))
TEXTS = ["", "5", "-1", "0", "1e999", "nan", "inf", "null", "true", "[]", "{}", "[1]", '["a"]', '{"attempts": 2}', "["]
TEXTS += ["~nobody/x", "s3:", "s3://", "file://", "http://u:p@h", "2020-01-01", "0001-01-01T00:00:00+14:00", "live"]
TEXTS += ["9999-12-31T23:59:59-14:00", "9" * 20, "x" * 5000, "\udcff", "é", '"', "15m", '["ETHUSDT"]', "\n", "[null]"]
TOML = ["1", "-1", "nan", "inf", "true", '""', '"~nobody"', '"\\u0000"', "[]", "[1]", '["a"]', "{}", "{a = 1}", "[{}]"]
TOML += ["2020-01-01", "07:32:00", "0001-01-01T00:00:00+14:00", "1e400", "9" * 25, '"s3://u@b"', '"live"', "[" * 3000]


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("ETH_PIPELINE_")]:
        monkeypatch.delenv(name)


def variable(path: tuple[str, ...]) -> str:
    return "ETH_PIPELINE_" + "__".join(path).upper()


def read_or_refuse(environment: dict[str, str]) -> Settings | None:
    """Settings that survive being written down, or None."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        try:
            found = load_settings()
        except SettingsInvalid as error:
            refusal = str(error)
        else:
            patch.delenv("ETH_PIPELINE_CONFIG", raising=False)
            for name in environment:
                patch.delenv(name, raising=False)
            shown = found.masked()
            assert json.loads(json.dumps(shown, allow_nan=False)) == shown
            assert load_settings(**shown).digest() == found.digest()
            return found
    assert "ETH_PIPELINE" in refusal or "empty" in refusal, refusal
    return None


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS), st.sampled_from(TEXTS), min_size=1, max_size=3))
def test_any_environment_is_read_or_refused_in_words(values: dict[tuple[str, ...], str]) -> None:
    read_or_refuse({variable(path): value for path, value in values.items()})


def test_any_file_is_read_or_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "eth.toml"
    good = (
        b'phase = "live"\nsymbol = "ETHUSDT"\n\n[exchange]\nattempts = 2\n\n[freshness.klines]\nmax_lag_hours = 1.5\n'
    )
    lines = st.lists(
        st.tuples(st.sampled_from(FIELDS), st.sampled_from(TOML)).map(lambda pair: f"{'.'.join(pair[0])} = {pair[1]}"),
        max_size=3,
    )

    @settings(max_examples=150, deadline=None)
    @given(damaged([good]) | st.binary(max_size=40) | lines.map(lambda found: "\n".join(found).encode()))
    def ask(content: bytes) -> None:
        path.write_bytes(content)
        read_or_refuse({"ETH_PIPELINE_CONFIG": str(path)})

    path.write_bytes(good)
    found = read_or_refuse({"ETH_PIPELINE_CONFIG": str(path)})
    assert found is not None
    assert (found.phase, found.exchange.attempts, found.freshness.klines.max_lag_hours) == ("live", 2, 1.5)
    ask()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"phase = ", "cannot be read as TOML"),
        (b"phase = '\xff'", "cannot be read as TOML"),
        (b"a = " + b"[" * 5000, "cannot be read as TOML"),
        (b'home = "~nobody-here/x"', "home: Value error, cannot be followed to a folder"),
        (b"history_start = 0001-01-01T00:00:00+14:00", "before the year 1"),
        (b"exchange.read_timeout_seconds = inf", "finite number"),
        (b"gates.min_oof_auc = nan", "finite number"),
        (b'exchange.futures_url = "https://user:pass@example.org"', "public data needs no credential"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_the_reason(tmp_path: Path, content: bytes, words: str) -> None:
    """Each was a traceback of pydantic's, TOML's or datetime's, or an infinite limit that nobody meant."""
    (tmp_path / "eth.toml").write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ETH_PIPELINE_CONFIG", str(tmp_path / "eth.toml"))
        with pytest.raises(SettingsInvalid, match=words):
            load_settings()


def test_a_home_that_is_a_loop_of_links_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(SettingsInvalid, match="cannot be followed"):
        load_settings(home=tmp_path / "a")


def test_a_list_that_is_no_json_is_refused_with_an_example(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETH_PIPELINE_CROSS_SYMBOLS", "BTCUSDT,SOLUSDT")
    with pytest.raises(
        SettingsInvalid, match=r"written as JSON, for example ETH_PIPELINE_CROSS_SYMBOLS='\["
    ) as refused:
        load_settings()
    assert 'field "cross_symbols"' in str(refused.value)


@pytest.mark.parametrize(
    "environment",
    [
        {"ETH_PIPELINE_LAKE_STORE__SECRET_ACCESS_KEY": CANARY},
        {"ETH_PIPELINE_INFERENCE__TOKEN": CANARY, "ETH_PIPELINE_INFERENCE__ATTEMPTS": "0"},
        {"ETH_PIPELINE_INFERENCE": f'{{"token": "{CANARY}", "attempts": 0}}'},
        {"ETH_PIPELINE_INFERENCE": f'{{"token": "{CANARY}"'},
        {"ETH_PIPELINE_INFERENCE__URL": f"http://operator:{CANARY}@127.0.0.1:5002"},
        {"ETH_PIPELINE_EXCHANGE__SPOT_URL": f"http://127.0.0.1:1/?token={CANARY}"},
        {"ETH_PIPELINE_POSTGRES_URL": f"postgresql://u:{CANARY}@h/d", "ETH_PIPELINE_PHASE": "yolo"},
        {"ETH_PIPELINE_LAKE_URL": f"s3://key:{CANARY}@bucket"},
    ],
)
def test_a_refusal_and_its_traceback_show_no_secret(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pydantic repeats what it refuses, the whole section with it; a code server logs the whole chain of causes."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsInvalid) as refused:
        load_settings()
    assert CANARY not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize("name", ["postgres_url", "mlflow_tracking_uri"])
@pytest.mark.parametrize("place", ["operator:{}@db", "db/x?user=operator&password={}", "db/x?SSLPassword={}&a=b"])
def test_a_password_is_masked_wherever_it_stands_in_a_url(name: str, place: str) -> None:
    """In a query it was shown: `postgresql://db/dagster?password=...` is as usual as the other form."""
    one = load_settings(**{name: f"postgresql://{place.format(CANARY)}"})
    assert CANARY not in json.dumps(one.masked())
    assert "***" in one.masked()[name]
    assert one.digest() == load_settings(**{name: f"postgresql://{place.format('another')}"}).digest()


def test_a_section_made_by_itself_shows_no_secret_either() -> None:
    with pytest.raises(ValidationError) as refused:
        LakeStoreSettings(secret_access_key=SecretStr(CANARY), region=5)  # type: ignore[arg-type]  # the wrong type
    assert CANARY not in str(refused.value)
    with pytest.raises(ValidationError) as refused:
        InferenceSettings.model_validate({"url": f"http://u:{CANARY}@h"})
    assert CANARY not in str(refused.value)
