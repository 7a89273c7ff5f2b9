"""Files of a home after a bad disk or a wrong editor: a line that is none is left out or named, and nothing falls over.

Two of them are read within the hour: the signal log and the kill switch.
"""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings

from eth_pipeline.errors import ContractViolation, SettingsInvalid
from eth_pipeline.exchange.archive import Archive
from eth_pipeline.exchange.http.transport import Transport
from eth_pipeline.lake import Lake
from eth_pipeline.operations.alerting.delivery import read_targets
from eth_pipeline.operations.config_audit import FOLDER, HISTORY, config_history, record_configuration
from eth_pipeline.operations.signal_log import SignalLog
from eth_pipeline.registry.crossings import Crossings
from eth_pipeline.settings import ExchangeSettings, Settings
from eth_pipeline.signals.gating import kill_switch
from eth_pipeline_tests.damage import damaged
from eth_pipeline_tests.decision_samples import NOON, sample_settings, signal
from eth_pipeline_tests.parser_targets import FILE

STRANGE = (b"5\n", b"[]\n", b'"x"\n', b"null\n", b'{"data": 5}\n', b"[" * 5000 + b"\n", b"\xff\xfe\n", b"\x85\n", b"")


def for_every_damage(good: bytes, ask: Callable[[bytes], None]) -> None:
    """`ask` about chance's damage to the good bytes, and about lines of every wrong kind."""

    def once(content: bytes) -> None:
        ask(content)

    asked = given(damaged([good]))(once)
    for content in STRANGE:
        asked = example(content)(asked)
    settings(max_examples=60, deadline=None)(asked)()


def test_a_damaged_line_of_the_signal_log_is_a_missing_one(tmp_path: Path) -> None:
    """A line `5`, or a byte that is no UTF-8, ended the run that looks for missing lines."""
    log = SignalLog(Lake(str(tmp_path / "lake")), folder=tmp_path / "logs")
    record = log.write(signal(sample_settings(), NOON))
    (path,) = (tmp_path / "logs").glob("*.jsonl")
    good = path.read_bytes()

    def ask(content: bytes) -> None:
        path.write_bytes(content)
        missing = log.complete_lines([record])
        assert missing == 1 or content not in STRANGE
        assert log.complete_lines([record]) == 0
        if missing:
            assert path.read_bytes().endswith(b"\n" + good) or path.read_bytes() == good

    for_every_damage(good, ask)


def test_a_damaged_line_of_the_configuration_s_history_is_left_out(tmp_path: Path) -> None:
    assert record_configuration(Settings(home=tmp_path), now=NOON, command="hourly", commit="c0ffee") is not None
    path = tmp_path / FOLDER / HISTORY
    good = path.read_bytes()
    (whole,) = config_history(tmp_path)

    def ask(content: bytes) -> None:
        path.write_bytes(content + b"\n" + good)
        assert config_history(tmp_path)[-1] == whole

    for_every_damage(good, ask)


def test_a_kill_switch_is_on_whatever_its_file_holds(tmp_path: Path) -> None:
    """A reason in another encoding ended the hour with a traceback, where it should have recorded a blocked one."""

    def ask(content: bytes) -> None:
        (tmp_path / "kill_switch").write_bytes(content)
        assert kill_switch.why(tmp_path)

    for_every_damage("Hände weg\n".encode("latin-1"), ask)
    (tmp_path / "kill_switch").unlink()
    kill_switch.pull(tmp_path, reason="Hände \udcff weg")
    assert kill_switch.why(tmp_path) == "Hände ? weg"


def test_damaged_targets_of_alerts_are_refused_by_their_line(tmp_path: Path) -> None:
    path = tmp_path / "targets"

    def ask(content: bytes) -> None:
        path.write_bytes(content)
        path.chmod(0o600)
        try:
            assert all(read_targets(path))
        except SettingsInvalid as error:
            refusal = str(error)
        else:
            return
        assert "no Apprise URL" in refusal or "no text in UTF-8" in refusal

    for_every_damage(b"json://127.0.0.1:1/canary\n", ask)


def test_a_damaged_note_beside_a_kept_archive_file_means_fetch_it_again(tmp_path: Path) -> None:
    with Transport(ExchangeSettings(), state_path=tmp_path / "state.sqlite") as transport:
        archive = Archive(transport, tmp_path, parallel_downloads=1)
        note = (tmp_path / FILE.key).with_suffix(".json")
        note.parent.mkdir(parents=True)
        good = json.dumps({"key": FILE.key, "sha256": "ab" * 32, "last_modified": None}).encode()

        def ask(content: bytes) -> None:
            note.write_bytes(content)
            found = archive.kept_sha256(FILE)
            assert found is None or content not in STRANGE

        for_every_damage(good, ask)
        note.write_bytes(good)
        assert archive.kept_sha256(FILE) == "ab" * 32


def test_a_damaged_list_of_crossings_is_refused_by_name(tmp_path: Path) -> None:
    crossings = Crossings(tmp_path)
    crossings.folder.mkdir(parents=True, exist_ok=True)

    def ask(content: bytes) -> None:
        (crossings.folder / "imported.jsonl").write_bytes(content)
        if content == b"":
            assert crossings.imported() == ()
            return
        with pytest.raises(ContractViolation, match=r"imported\.jsonl holds a line that is no ImportedCandidate"):
            crossings.imported()

    for_every_damage(b'{"fingerprint": "ab"}\n', lambda content: ask(content.strip(b"\r\n") and content))
