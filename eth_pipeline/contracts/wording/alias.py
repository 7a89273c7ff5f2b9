"""What is said where the registry's alias, the promotion log and this host do not name the same model.

Belongs here: the words in both languages, and reading several of these sentences in a row. Does not belong: the
comparison (`registry.promotions.alias`). What the log or the registry says of damage is an error and stays English.
"""

import re
from collections.abc import Callable

from eth_pipeline.contracts.wording.phrase import Phrase

AGREE = Phrase("registry, promotion log and this host agree", "注册表、晋升日志与本机一致")
UNFINISHED = Phrase(
    "The promotion of decision {decision:s} was begun and never finished. The next promotion, rollback or "
    "materialization of `production_bundle` finishes or closes it.",
    "决定 {decision} 的晋升已开始但没有完成。下一次晋升、回滚或物化 `production_bundle` 会完成或关闭它。",
)
NOT_FOLLOWED = Phrase(
    "The log says `{action}` to version {version} (entry {entry:d}), and the registry does not know of it yet. "
    "Materialize `production_bundle`.",
    "日志记载版本 {version} {action}（第 {entry} 条），而注册表还不知道。请物化 `production_bundle`。",
)
MOVED_BY_ANOTHER = Phrase(
    "The production alias names version {named}, the promotion log says {logged}: the alias was moved by another hand; "
    "{back}.",
    "生产别名指向版本 {named}，晋升日志为 {logged}：别名被他人移动，{back}。",
)
ROLL_BACK = Phrase(
    "`eth-pipeline rollback --to {version:s}` puts it back", "用 `eth-pipeline rollback --to {version}` 可以恢复"
)
PROMOTE = Phrase("promote a candidate", "请晋升一个候选模型")
REFUSED = Phrase(
    "Version {version} has no passing decision: {decision} refused it. It is not loaded.",
    "版本 {version} 没有通过的决定：{decision} 拒绝了它。不会加载。",
)
UNRECORDED = Phrase(
    "Version {version} has no passing decision: {decision} is not in the promotion log. It is not loaded.",
    "版本 {version} 没有通过的决定：{decision} 不在晋升日志中。不会加载。",
)
HOST_BEHIND = Phrase(
    "This host runs version {here}, the registry's production is version {named}. Materialize `production_bundle`.",
    "本机运行版本 {here}，注册表的生产版本为 {named}。请物化 `production_bundle`。",
)
IN_DOUBT = Phrase(
    "This host is in doubt about the registry: {why}. Materialize `production_bundle`.",
    "本机无法确认注册表的状态：{why}。请物化 `production_bundle`。",
)

_FIRST_WORDS = (
    "The promotion of decision ",
    "The log says `",
    "The production alias names version ",
    r"Version \S+ has no passing decision: ",
    "This host runs version ",
    "This host is in doubt ",
)
_FIRST = re.compile("|".join(_FIRST_WORDS))
_NEXT = re.compile(rf" (?={_FIRST.pattern})")


def in_line(line: str, said: Callable[[str], str]) -> str:
    """Several of these sentences, each said again; one alone or another text stays."""
    sentences = _NEXT.split(line)
    if len(sentences) == 1 or not _FIRST.match(line) or "\n" in line:
        return line
    return "".join(said(sentence) for sentence in sentences)
