"""What people read is there in English and in Chinese, says the same, and can be said again from what was recorded."""

import ast
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from jinja2 import Environment, nodes

import eth_pipeline
from eth_pipeline.contracts.alert import AlertKind
from eth_pipeline.contracts.quality import Cause
from eth_pipeline.contracts.signal import Action, Reason, ReasonCode, SignalState
from eth_pipeline.contracts.tables import STREAMS
from eth_pipeline.contracts.wording import BOOK, LABELS, TERMINAL, Phrase, alias, coded, said
from eth_pipeline.contracts.wording.alerts import ALERTS, MOVES, TITLES, body
from eth_pipeline.contracts.wording.alias import HOST_BEHIND, MOVED_BY_ANOTHER, ROLL_BACK
from eth_pipeline.contracts.wording.details import NEWEST_TOO_OLD
from eth_pipeline.contracts.wording.gates import GATES, STACKING
from eth_pipeline.contracts.wording.lineage import FACTS, STEPS, fact_name, step_name
from eth_pipeline.contracts.wording.reasons import REASONS
from eth_pipeline.operations.plan.summary import STAGE_HEADER
from eth_pipeline.operations.processes import ProcessState
from eth_pipeline.signals.gating.policy import judge
from eth_pipeline.signals.technical.strategy import FAMILIES

PACKAGE = Path(eth_pipeline.__file__).parent
EVERY = (*BOOK.phrases, *LABELS.values(), *TERMINAL.values(), *STEPS.phrases, *FACTS.phrases)
CHINESE = re.compile(r"[一-鿿]")
CHINESE_TEXT = re.compile(r"[一-鿿\u3000-\u303f\uff00-\uffef→]")
WITHOUT_CHINESE = {"docs/operations.md#{kind:s}", "{provenance} data"}
"""The name of a file, and a label that leaves the word to what is filled in."""


@pytest.mark.parametrize("phrase", EVERY, ids=lambda phrase: phrase.en[:60])
def test_every_phrase_is_there_in_both_languages(phrase: Phrase) -> None:
    assert phrase.en.strip()
    assert not CHINESE.search(phrase.en)
    assert CHINESE_TEXT.search(phrase.zh) or phrase.en in WITHOUT_CHINESE, "not translated, or equal by oversight"


def test_every_reason_code_and_every_alert_has_its_words() -> None:
    assert list(REASONS) == list(ReasonCode)
    assert list(ALERTS) == list(AlertKind)
    assert all(words.name.en == code for code, words in (REASONS | ALERTS).items())


@pytest.mark.parametrize("names", [[w.name.zh for w in REASONS.values()], [w.name.zh for w in ALERTS.values()]])
def test_no_two_codes_have_one_chinese_name(names: list[str]) -> None:
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    "codes",
    [SignalState, Action, AlertKind, ReasonCode, Cause, STREAMS, FAMILIES, MOVES, [*GATES, STACKING.en], ProcessState],
    ids=["state", "action", "alert", "reason", "gap", "stream", "family", "move", "gate", "process"],
)
def test_every_code_that_is_shown_has_a_chinese_name(codes: list[str]) -> None:
    assert [code for code in codes if not CHINESE.search(said(str(code), "zh"))] == []


def test_one_english_text_has_one_chinese_text() -> None:
    chinese: dict[str, set[str]] = {}
    for phrase in BOOK.phrases:
        chinese.setdefault(phrase.en, set()).add(phrase.zh)
    assert {en: zh for en, zh in chinese.items() if len(zh) > 1} == {}


@pytest.mark.parametrize("phrase", [p for p in BOOK.phrases if p.names], ids=lambda phrase: phrase.en[:60])
def test_what_a_phrase_wrote_is_found_again_and_said_in_chinese(phrase: Phrase) -> None:
    """A special sentence must not be taken for a general one: its own Chinese has to come out."""
    numbers = {name for name, spec in specs(phrase) if spec not in ("", "s")}
    word = "blocked" if phrase.is_loose else "word"
    values = {name: 7 + n if name in numbers else word for n, name in enumerate(phrase.names)}
    english = phrase(**values)
    shown = phrase.read(english)
    assert shown is not None
    inner = {name: value if name in phrase.kept else said(value, "zh") for name, value in shown.items()}
    assert said(english, "zh") == phrase.zh.format(**inner)
    assert said(english, "en") == english


def test_names_that_do_not_agree_are_refused() -> None:
    with pytest.raises(ValueError, match="name the same"):
        Phrase("{hours} h", "{hour} 小时")
    with pytest.raises(ValueError, match="each once"):
        Phrase("{a} and {a}", "{a}")


def test_a_line_of_reasons_is_said_reason_by_reason() -> None:
    old = Reason(code=ReasonCode.STREAM_STALE, subject="klines ETHUSDT", detail=NEWEST_TOO_OLD(age=77.8, limit=1.0))
    missed = Reason(code=ReasonCode.HOUR_MISSED, subject="2025-06-29T12:00:00Z", detail="the host slept; so did we")
    line = judge((old, missed), phase="paper").gating_reason
    assert said(line, "zh") == (
        "数据流过期（stream_stale）klines ETHUSDT：最新数据已有 77.80 小时，上限 1.00 小时；"
        "错过整点（hour_missed）2025-06-29T12:00:00Z：the host slept; so did we"
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pulled for the drill; ask Ann.",
        "HTTP 503: upstream said no",
        "a s",
        "x -> y",
        "E: none on this host: /home",
    ],
)
def test_words_of_somebody_else_stay_as_they_are(text: str) -> None:
    assert said(text, "zh") == text


def test_a_code_is_shown_with_its_name() -> None:
    assert coded("stream_stale", "zh") == "数据流过期（stream_stale）"
    assert coded("stream_stale", "en") == coded("unheard_of", "en").replace("unheard_of", "stream_stale")
    assert coded("unheard_of", "zh") == "unheard_of"


@pytest.mark.parametrize("kind", AlertKind)
def test_a_message_says_what_to_do_and_where_the_runbook_goes_on(kind: AlertKind) -> None:
    kept = body(kind, "something is wrong")
    assert kept.splitlines()[1:] == [ALERTS[kind].to_do.en, f"Runbook: docs/operations.md#{kind}"]
    _, to_do, page = said(kept, "zh").splitlines()
    assert (to_do, page) == (ALERTS[kind].to_do.zh, f"运行手册：docs/operations.zh-CN.md#{kind}")
    assert said(f"{kind}: klines ETHUSDT", "zh") == f"{ALERTS[kind].name.zh}（{kind}）：klines ETHUSDT"
    assert len(TITLES) == 2 * len(AlertKind)


def test_every_label_of_a_template_is_known_and_every_known_label_is_used() -> None:
    used = {text for path in (PACKAGE / "board" / "showing" / "templates").glob("*.html") for text in labels_of(path)}
    assert used == set(LABELS)


def test_every_word_of_a_terminal_table_is_used() -> None:
    places = [*(PACKAGE / "cli").rglob("*.py"), PACKAGE / "operations" / "plan" / "summary.py"]
    constants = {
        node.value
        for path in places
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant)
    }
    assert set(TERMINAL) <= constants
    assert set(STAGE_HEADER) <= set(TERMINAL)


def test_every_name_of_a_lineage_is_known_and_every_known_name_is_used() -> None:
    names = {name for name in constants_of(PACKAGE / "operations" / "lineage.py") if re.fullmatch("[a-z0-9_]+", name)}
    known = {phrase.en for phrase in (*STEPS.phrases, *FACTS.phrases)} - {"auc_{hours:d}h"}
    keys = {name for name in keys_of(PACKAGE / "operations" / "lineage.py") if not name.startswith("auc_")}
    assert keys <= known
    assert known <= names
    assert [step_name("klines", "zh"), fact_name("auc_5h", "zh")] == ["K 线", "5 小时 AUC"]
    assert [step_name("klines", "en"), fact_name("auc_5h", "en")] == ["klines", "auc_5h"]


@pytest.mark.parametrize("module", ["health", "host_health"])
def test_the_health_check_says_nothing_that_has_no_chinese(module: str) -> None:
    """A question or an answer written out there would be English on every board and terminal."""
    path = PACKAGE / "operations" / f"{module}.py"
    told = [
        value
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("No", "Check", "asked"))
        or isinstance(node, ast.Return)
        for value in ([node.value] if isinstance(node, ast.Return) else node.args)
        if isinstance(value, ast.Constant | ast.JoinedStr) and re.search("[a-z]{3}", literal_of(value))
    ]
    assert [ast.unparse(value) for value in told] == []


def test_statements_about_processes_are_said_one_by_one() -> None:
    line = "daemon: its code was changed since it started: restart it; runs configuration aa, this one is bb"
    assert said(line, "zh") == "daemon：启动后代码有改动，请重启；运行的是配置 aa，当前为 bb"
    assert (
        said("daemon: no longer runs; board: something else", "zh") == "daemon: no longer runs; board: something else"
    )


def test_sentences_about_the_alias_are_said_one_by_one() -> None:
    moved = MOVED_BY_ANOTHER(named="3", logged="2", back=ROLL_BACK(version="2"))
    assert said(f"{moved} {HOST_BEHIND(here='2', named='3')}", "zh") == (
        "生产别名指向版本 3，晋升日志为 2：别名被他人移动，用 `eth-pipeline rollback --to 2` 可以恢复。"
        "本机运行版本 2，注册表的生产版本为 3。请物化 `production_bundle`。"
    )


def test_every_two_sentences_about_the_alias_can_stand_in_a_row() -> None:
    told = [
        phrase(**{name: 4 if name == "entry" else "3" for name in phrase.names})
        for phrase in vars(alias).values()
        if isinstance(phrase, Phrase) and phrase.en.endswith(".")
    ]
    assert len(told) > 6
    for first, second in itertools.product(told, repeat=2):
        assert said(f"{first} {second}", "zh") == said(first, "zh") + said(second, "zh")


def specs(phrase: Phrase) -> Iterator[tuple[str, str]]:
    yield from re.findall(r"\{(\w+)(?::([^}]*))?\}", phrase.en)


def constants_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def keys_of(path: Path) -> Iterator[str]:
    """What a module names in its mappings, and what it gives a step for a name."""
    for node in ast.walk(ast.parse(path.read_text())):
        written = node.keys if isinstance(node, ast.Dict) else []
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            written = node.args[:1] if node.func.id in ("LineageStep", "_rows", "_bars") else written
        yield from (literal_of(key) for key in written if isinstance(key, ast.Constant | ast.JoinedStr))


def literal_of(node: ast.Constant | ast.JoinedStr) -> str:
    """The fixed text of a string that is written out."""
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    return "".join(part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str))


def labels_of(path: Path) -> Iterator[str]:
    """The first argument of every `say(...)`."""
    for call in Environment().parse(path.read_text()).find_all(nodes.Call):
        if isinstance(call.node, nodes.Name) and call.node.name == "say":
            (english, *_) = call.args
            assert isinstance(english, nodes.Const), f"{path.name}: a label is written out"
            yield english.value
