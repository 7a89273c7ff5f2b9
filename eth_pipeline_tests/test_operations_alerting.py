"""Tests of eth_pipeline.operations.alerting: told once, told when it is over, never lost. Real HTTP, real SQLite."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from eth_pipeline.contracts.alert import AlertKind
from eth_pipeline.errors import SettingsInvalid
from eth_pipeline.operations.alerting.book import AlertBook
from eth_pipeline.operations.alerting.delivery import deliver, read_targets
from eth_pipeline.operations.alerting.evidence import Disk
from eth_pipeline.operations.alerting.kinds import Condition, Happening
from eth_pipeline.operations.alerting.rules import disk_low
from eth_pipeline_tests.alert_receiver import Receiver, alert_receiver

NOON = datetime(2025, 6, 29, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
STALE = Condition(AlertKind.STALE_STREAK, "klines ETHUSDT", "klines are 3 h old. Look at the exchange.")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with alert_receiver() as made:
        yield made


def book(home: Path, *, targets: int = 1, hold_off: timedelta = 5 * MINUTE) -> AlertBook:
    return AlertBook(home, targets=targets, hold_off=hold_off, calm=10 * MINUTE)


def titles(of: AlertBook) -> list[str]:
    return [title for _, title, _, _ in reversed(of.history())]


def test_a_condition_is_told_once_after_the_hold_off_and_once_when_it_is_over(tmp_path: Path) -> None:
    noted = book(tmp_path)
    for minute in range(120):
        noted.observe([STALE], now=NOON + minute * MINUTE)
    assert titles(noted) == ["stale_streak: klines ETHUSDT"]
    ((condition, since),) = noted.raised()
    assert (condition, since) == (STALE, NOON + 5 * MINUTE)
    for minute in range(120, 180):
        noted.observe([], now=NOON + minute * MINUTE)
    assert titles(noted) == ["stale_streak: klines ETHUSDT", "over: stale_streak klines ETHUSDT"]
    assert noted.raised() == ()


def test_what_passes_within_the_hold_off_is_not_told(tmp_path: Path) -> None:
    noted = book(tmp_path)
    for minute in range(0, 60, 10):
        noted.observe([STALE], now=NOON + minute * MINUTE)
        noted.observe([STALE], now=NOON + (minute + 4) * MINUTE)
        noted.observe([], now=NOON + (minute + 6) * MINUTE)
    assert titles(noted) == []


def test_a_condition_that_flickers_is_one_alert(tmp_path: Path) -> None:
    noted = book(tmp_path)
    for minute in range(100):
        noted.observe([STALE] if minute < 10 or minute % 3 else [], now=NOON + minute * MINUTE)
    assert titles(noted) == ["stale_streak: klines ETHUSDT"]


def test_a_rule_that_could_not_be_evaluated_is_no_recovery(tmp_path: Path) -> None:
    noted = book(tmp_path, hold_off=timedelta(0))
    noted.observe([STALE], now=NOON)
    for minute in range(60):
        noted.observe([], now=NOON + minute * MINUTE, judged=frozenset({"disk_low"}))
    assert len(noted.raised()) == 1
    noted.observe([], now=NOON + 60 * MINUTE, judged=frozenset({"stale_streak"}))
    assert noted.raised() == ()


def test_an_event_is_told_once_however_often_it_is_reported(tmp_path: Path) -> None:
    event = Happening(AlertKind.PROMOTION, "decision-1", "Version 3 was promoted.")
    noted = book(tmp_path)
    assert noted.happened([event, event], now=NOON) == 1
    noted.close()
    again = book(tmp_path)
    assert again.happened([event], now=NOON + timedelta(days=400)) == 0
    assert again.happened([Happening(AlertKind.PROMOTION, "decision-2", "Version 4.")], now=NOON) == 1
    assert titles(again) == ["promotion", "promotion"]


def test_a_message_arrives_exactly_once_after_the_receiver_was_down_for_six_hours(
    tmp_path: Path, receiver: Receiver
) -> None:
    """And the process that queued it was restarted meanwhile."""
    noted = book(tmp_path, hold_off=timedelta(0))
    receiver.down = True
    noted.observe([STALE], now=NOON)
    for minute in range(360):
        noted.observe([STALE], now=NOON + minute * MINUTE)
        deliver(noted, (receiver.url,), now=NOON + minute * MINUTE, sender="host", language="en")
    assert receiver.received == []
    assert noted.undelivered() == 1
    noted.close()
    receiver.down = False
    noted = book(tmp_path, hold_off=timedelta(0))
    for minute in range(360, 420):
        noted.observe([STALE], now=NOON + minute * MINUTE)
        deliver(noted, (receiver.url,), now=NOON + minute * MINUTE, sender="host", language="en")
    assert receiver.titles == ["host: stale_streak: klines ETHUSDT"]
    assert receiver.received[0]["message"].partition("\n")[0] == STALE.text
    assert receiver.received[0]["type"] == "failure"
    assert noted.undelivered() == 0


def test_a_target_that_is_down_holds_up_no_other(tmp_path: Path, receiver: Receiver) -> None:
    noted = book(tmp_path, targets=2, hold_off=timedelta(0))
    nowhere = "json://127.0.0.1:9/hook"
    noted.observe([STALE], now=NOON)
    assert deliver(noted, (nowhere, receiver.url), now=NOON, sender="host", language="en") == (1, 1)
    assert len(receiver.received) == 1
    for minute in range(60):
        deliver(noted, (nowhere, receiver.url), now=NOON + minute * MINUTE, sender="host", language="en")
    assert len(receiver.received) == 1
    assert noted.undelivered() == 1


def test_a_target_that_is_down_costs_one_attempt_a_round(tmp_path: Path) -> None:
    """Each attempt may take ten seconds, and a sensor's round has a minute."""
    noted = book(tmp_path)
    noted.happened([Happening(AlertKind.PROMOTION, str(n), f"promotion {n}") for n in range(5)], now=NOON)
    assert deliver(noted, ("json://127.0.0.1:9/hook",), now=NOON, sender="host", language="en") == (0, 1)
    assert noted.undelivered() == 5


def test_two_senders_at_once_send_a_message_once(tmp_path: Path, receiver: Receiver) -> None:
    """Two daemons on one home: each sees the message as due."""
    first = book(tmp_path, hold_off=timedelta(0))
    first.happened([Happening(AlertKind.PROMOTION, str(n), f"promotion {n}") for n in range(10)], now=NOON)
    first.close()

    def send(_: int) -> None:
        own = book(tmp_path)
        deliver(own, (receiver.url,), now=NOON, sender="host", language="en")
        own.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(send, range(4)))
    texts = sorted(message["message"].partition("\n")[0] for message in receiver.received)
    assert texts == sorted(f"promotion {n}" for n in range(10))


def test_a_retry_waits_longer_each_time_and_never_for_ever(tmp_path: Path, receiver: Receiver) -> None:
    noted = book(tmp_path)
    receiver.down = True
    noted.happened([Happening(AlertKind.DISK_LOW, "x", "1 GB left.")], now=NOON)
    tried = [
        m
        for m in range(6 * 60)
        if sum(deliver(noted, (receiver.url,), now=NOON + m * MINUTE, sender="h", language="en"))
    ]
    gaps = [later - earlier for earlier, later in pairwise(tried)]
    assert gaps[0] == 1
    assert max(gaps) == 15
    assert gaps == sorted(gaps)
    assert len(tried) > 20


def test_without_a_target_alerts_are_kept_and_the_first_target_gets_them(tmp_path: Path, receiver: Receiver) -> None:
    noted = book(tmp_path, targets=0, hold_off=timedelta(0))
    noted.observe([STALE], now=NOON)
    assert deliver(noted, (), now=NOON, sender="host", language="en") == (0, 0)
    noted.close()
    assert deliver(book(tmp_path), (receiver.url,), now=NOON, sender="host", language="en") == (1, 0)


def test_targets_are_read_from_a_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    path = tmp_path / "targets"
    path.write_text("# operator\njson://127.0.0.1:8080/hook\n\nmailto://user:pass@example.com\n")
    path.chmod(0o644)
    with pytest.raises(SettingsInvalid, match="chmod 600"):
        read_targets(path)
    path.chmod(0o600)
    assert len(read_targets(path)) == 2
    assert read_targets(None) == ()


def test_a_wrong_line_is_named_by_its_number_and_never_shown(tmp_path: Path) -> None:
    path = tmp_path / "targets"
    path.write_text("json://127.0.0.1/ok\nnonsense-with-s3cret\n")
    path.chmod(0o600)
    with pytest.raises(SettingsInvalid, match="line 2") as refusal:
        read_targets(path)
    assert "s3cret" not in str(refusal.value)


def test_a_message_is_sent_in_the_language_of_the_settings_and_kept_in_english(
    tmp_path: Path, receiver: Receiver
) -> None:
    """The operator reads Chinese; whoever changes the setting reads the old messages in the new language too."""
    noted = book(tmp_path, hold_off=timedelta(0))
    (low,) = disk_low([Disk(Path("/data"), 10**9, 10**11)], min_free_bytes=5e9)
    noted.observe([low], now=NOON)
    deliver(noted, (receiver.url,), now=NOON, sender="host", language="zh")
    (message,) = receiver.received
    assert message["title"] == "host: 磁盘空间不足（disk_low）：/data"
    assert message["message"] == (
        "/data 所在磁盘（共 100 GB）只剩 1.0 GB，低于 5.0 GB。\n请在写入失败之前腾出空间。\n"
        "运行手册：docs/operations.zh-CN.md#disk_low"
    )
    assert titles(noted) == ["disk_low: /data"]
