"""The promotion log proves its own history, and says where it does not."""

import json
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from eth_pipeline.contracts.artifact import PromotionDecision
from eth_pipeline.errors import ContractViolation
from eth_pipeline.registry.promotions.decision import decide
from eth_pipeline.registry.promotions.promotion_log import GENESIS, PromotionLog
from eth_pipeline.settings import GateSettings
from eth_pipeline_tests.registry_maker import NOW, report


def made_decision(number: int = 1) -> PromotionDecision:
    return decide(
        report(),
        phase="paper",
        settings=GateSettings(),
        candidate_fingerprint=f"{number:064x}",
        champion_fingerprint=None,
        champion_comparison=None,
        decided_at=NOW,
    )


@pytest.fixture
def log(tmp_path: Path) -> PromotionLog:
    """A log of three promotions."""
    made = PromotionLog(tmp_path / "promotions.jsonl")
    for number in (1, 2, 3):
        made.append(decision=made_decision(number), version=str(number), run_id="run", at=NOW)
    return made


def rewrite(log: PromotionLog, change: Callable[[list[str]], list[str]]) -> None:
    lines = log.path.read_text().splitlines()
    log.path.write_text("".join(f"{line}\n" for line in change(lines)))


def edited(line: str, **changes: object) -> str:
    return json.dumps({**json.loads(line), **changes})


def test_entries_form_a_chain_from_the_first_on(log: PromotionLog) -> None:
    entries = log.verify()
    assert [entry.sequence for entry in entries] == [1, 2, 3]
    assert entries[0].previous_sha256 == GENESIS
    assert [entry.previous_sha256 for entry in entries[1:]] == [entry.sha256 for entry in entries[:-1]]
    assert entries == log.entries()


def test_an_empty_log_is_intact(tmp_path: Path) -> None:
    assert PromotionLog(tmp_path / "none.jsonl").verify() == ()


def test_an_entry_says_what_was_done_and_why(log: PromotionLog) -> None:
    entry = log.append(
        decision=made_decision(2), version="2", run_id="cli", at=NOW, action="rolled_back", reason="drawdown"
    )
    assert (entry.action, entry.reason, entry.version) == ("rolled_back", "drawdown", "2")
    assert log.entries()[0].action == "promoted"
    assert log.entries()[0].reason == made_decision(1).summary


@pytest.mark.parametrize(
    ("change", "line", "why"),
    [
        (lambda ls: [edited(ls[0], version="9"), *ls[1:]], 1, "it was edited"),
        (lambda ls: [*ls[:2], edited(ls[2], reason="never happened")], 3, "it was edited"),
        (lambda ls: [ls[0], ls[2]], 2, "removed or moved"),
        (lambda ls: [ls[1], ls[0], ls[2]], 1, "removed or moved"),
        (lambda ls: [*ls, ls[2]], 4, "removed or moved"),
        (lambda ls: [ls[0], "{}", ls[2]], 2, "no entry"),
        (lambda ls: [edited(ls[0], note="extra"), *ls[1:]], 1, "no entry"),
    ],
)
def test_an_edit_breaks_the_chain_at_a_named_line(
    log: PromotionLog, change: Callable[[list[str]], list[str]], line: int, why: str
) -> None:
    rewrite(log, change)
    with pytest.raises(ContractViolation, match=rf"broken at line {line}: .*{why}"):
        log.verify()


def test_an_edit_sealed_again_breaks_the_line_after_it(log: PromotionLog) -> None:
    entry = log.entries()[1].model_copy(update={"reason": "another story"})
    sealed = entry.model_copy(update={"sha256": entry.digest()}).model_dump_json()
    rewrite(log, lambda lines: [lines[0], sealed, lines[2]])
    with pytest.raises(ContractViolation, match="line 3"):
        log.verify()


def test_nothing_is_appended_to_a_broken_log(log: PromotionLog) -> None:
    rewrite(log, lambda lines: lines[1:])
    before = log.path.read_bytes()
    with pytest.raises(ContractViolation, match="Restore the file"):
        log.append(decision=made_decision(), version="4", run_id="run", at=NOW)
    assert log.path.read_bytes() == before


def test_a_half_written_line_is_named(log: PromotionLog) -> None:
    log.path.write_bytes(log.path.read_bytes()[:-20])
    with pytest.raises(ContractViolation, match="line 3: it was not written to its end"):
        log.entries()


def _append_many(path: Path, writer: int) -> None:
    log = PromotionLog(path)
    for _ in range(10):
        log.append(decision=made_decision(writer), version=str(writer), run_id="run", at=NOW)


def test_two_processes_at_once_still_write_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "promotions.jsonl"
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        list(pool.map(_append_many, [path, path], [1, 2]))
    entries = PromotionLog(path).verify()
    assert len(entries) == 20
    assert {entry.version for entry in entries} == {"1", "2"}
