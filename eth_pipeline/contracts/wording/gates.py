"""What is said of every promotion gate: its name, its verdict with the figures, and the summary of a decision.

Belongs here: the words in both languages, and reading a line of several gates. Does not belong: the figures and
thresholds (`registry.promotions.gates`), what a decision is (`registry.promotions.decision`).

No sentence here begins with what is filled in: a line of several gates begins with a gate's name, and must not be taken
for one sentence.
"""

import re
from collections.abc import Callable
from types import MappingProxyType
from typing import NamedTuple

from eth_pipeline.contracts.wording.phrase import Phrase


class GateWords(NamedTuple):
    """A gate in the reader's language, and its verdict."""

    name: Phrase
    passed: Phrase
    failed: Phrase


def _words(name: str, zh: str, passed: tuple[str, str], failed: tuple[str, str]) -> tuple[str, GateWords]:
    return name, GateWords(Phrase(name, zh), Phrase(*passed), Phrase(*failed))


def _floor(name: str, zh: str, what: str, what_zh: str, *, digits: int = 4) -> tuple[str, GateWords]:
    figure = f"{what} {{value:.{digits}f}}"
    floor = f"{{floor:.{digits}f}}"
    return _words(
        name,
        zh,
        (f"{figure} reaches the floor {floor}", f"{what_zh}为 {{value}}，达到下限 {{floor}}"),
        (f"{figure} is below the floor {floor}", f"{what_zh}为 {{value}}，低于下限 {{floor}}"),
    )


def _ceiling(name: str, zh: str, what: str, what_zh: str) -> tuple[str, GateWords]:
    return _words(
        name,
        zh,
        (f"{what} {{value:.4f}} stays within {{ceiling:.4f}}", f"{what_zh}为 {{value}}，未超过上限 {{ceiling}}"),
        (f"{what} {{value:.4f}} exceeds {{ceiling:.4f}}", f"{what_zh}为 {{value}}，超过上限 {{ceiling}}"),
    )


def _lower_bound(name: str, zh: str, what: str, what_zh: str) -> tuple[str, GateWords]:
    figure, figure_zh = f"{what} is {{interval}}; its lower bound", f"{what_zh}为 {{interval}}，其下界"
    return _words(
        name,
        zh,
        (f"{figure} lies above {{above:g}}", f"{figure_zh}高于 {{above}}"),
        (f"{figure} does not lie above {{above:g}}", f"{figure_zh}不高于 {{above}}"),
    )


_PARITY = (
    "ONNX and model differ by at most {difference:.2e} on {rows:d} rows, {at_thresholds:d} of them at split "
    "thresholds; {tolerance:.2e} is allowed"
)
_PARITY_ZH = "ONNX 与模型在 {rows} 行上最多相差 {difference}，其中 {at_thresholds} 行位于分裂阈值上；允许 {tolerance}"
_DEFLATED = (
    "after {tries:d} tries on this history the lower bound of the {hours:d} h AUC {interval} widens to {bound:.4f}, "
)
_DEFLATED_ZH = "在这段历史上尝试 {tries} 次后，{hours} 小时 AUC {interval} 的下界放宽为 {bound}，"
_PAYS = (
    "best of {count:d} horizons, {hours:d} h: {interval} bps net per trade over {trades:d} trades; its lower bound is "
)
_PAYS_ZH = "{count} 个期限中最好的是 {hours} 小时：{trades} 笔交易每笔净收益 {interval} bps，其下界"

GATES: MappingProxyType[str, GateWords] = MappingProxyType(
    dict(
        (
            _floor("n_samples", "样本数", "labelled out-of-fold rows", "有标签的折外样本", digits=0),
            _floor("validation_auc", "验证集 AUC", "validation AUC", "验证集 AUC "),
            _floor("test_auc", "最新段 AUC", "AUC on the newest out-of-fold rows", "最新折外样本的 AUC "),
            _floor("oof_auc", "折外 AUC", "out-of-fold AUC", "折外 AUC "),
            _ceiling(
                "oof_test_gap",
                "折外与最新段之差",
                "distance between out-of-fold and newest AUC",
                "折外 AUC 与最新段 AUC 之差",
            ),
            _floor("coverage_mean", "平均覆盖率", "mean feature coverage", "特征平均覆盖率"),
            _floor("coverage_core", "核心覆盖率", "smallest core coverage", "核心特征的最低覆盖率"),
            _ceiling("calibration_error", "校准误差", "calibration error at {hours:d} h", "{hours} 小时校准误差"),
            _lower_bound(
                "beats_volatility",
                "优于波动率",
                "AUC above volatility alone at {hours:d} h",
                "{hours} 小时 AUC 高于单用波动率的差值",
            ),
            _lower_bound("beats_chance", "优于随机", "AUC at {hours:d} h", "{hours} 小时 AUC "),
            _words(
                "deflated",
                "多次尝试校正",
                (_DEFLATED + "which is still above 0.5", _DEFLATED_ZH + "仍高于 0.5"),
                (_DEFLATED + "which is not above 0.5", _DEFLATED_ZH + "不高于 0.5"),
            ),
            _words(
                "auc_believable",
                "AUC 可信",
                (
                    "the highest AUC, {value:.4f} {where}, is not above {limit:.4f}, beyond which a leak is likelier",
                    "最高 AUC {value}（{where}）未超过 {limit}；超过时更可能是数据泄漏",
                ),
                (
                    "AUC {value:.4f} {where} is above {limit:.4f}: a leak is likelier than skill; look for it first",
                    "AUC {value}（{where}）高于 {limit}：数据泄漏的可能大于真本事，请先排查泄漏",
                ),
            ),
            _words(
                "onnx_parity",
                "ONNX 一致性",
                (_PARITY, _PARITY_ZH),
                (f"{_PARITY}, and the parity check failed", f"{_PARITY_ZH}，一致性检查未通过"),
            ),
            _words(
                "not_worse_than_champion",
                "不逊于在用模型",
                (
                    "AUC against the champion on the same rows is {interval}; its lower bound is not below {floor:g}",
                    "相同样本上与在用模型的 AUC 之差为 {interval}，其下界不低于 {floor}",
                ),
                (
                    "AUC against the champion on the same rows is {interval}; its lower bound is below {floor:g}",
                    "相同样本上与在用模型的 AUC 之差为 {interval}，其下界低于 {floor}",
                ),
            ),
            _words(
                "pays_after_costs",
                "扣费后盈利",
                (_PAYS + "above zero", _PAYS_ZH + "大于零"),
                (_PAYS + "not above zero", _PAYS_ZH + "不大于零"),
            ),
            _words(
                "provenance",
                "数据来源",
                ("trained on {provenance} data", "训练数据来源：{provenance}"),
                (
                    "trained on {provenance} data; live may only run on the exchange's own history",
                    "训练数据来源：{provenance}；实盘只能使用交易所自己的历史数据",
                ),
            ),
        )
    )
)
"""In the order of a decision."""

UNKNOWN: MappingProxyType[str, Phrase] = MappingProxyType(
    {
        "beats_volatility": Phrase(
            "AUC above volatility alone at {hours:d} h could not be estimated: too few rows",
            "无法估计 {hours} 小时 AUC 高于单用波动率的差值：样本太少",
        ),
        "beats_chance": Phrase(
            "AUC at {hours:d} h could not be estimated: too few rows", "无法估计 {hours} 小时 AUC：样本太少"
        ),
        "deflated": Phrase("the AUC could not be estimated: too few rows", "无法估计 AUC：样本太少"),
        "pays_after_costs": Phrase(
            "no horizon has {needed:d} trades beyond its thresholds (at most {most:d}): profit is not shown",
            "没有一个期限有 {needed} 笔超出阈值的交易（最多 {most} 笔）：无法说明盈利",
        ),
    }
)
"""What is said where there is no figure to judge."""
NO_CHAMPION = Phrase("there is no champion to compare with", "没有可比较的在用模型")
NOT_COMPARED = Phrase(
    "the champion {rival:s} was not compared on the same rows, so it is not beaten",
    "没有在相同样本上与在用模型 {rival} 比较，因此不算胜出",
)
NOT_COMPARED_UNNAMED = Phrase(
    "the champion in production was not compared on the same rows, so it is not beaten",
    "没有在相同样本上与在用模型比较，因此不算胜出",
)
OUT_OF_FOLD = Phrase("out of fold", "折外")
NEWEST_ROWS = Phrase("on the newest rows", "最新段")
AT_HORIZON = Phrase("at {hours:d} h", "{hours} 小时")

STACKING = Phrase("stacking", "堆叠模型")
STACK_ON = Phrase(
    "on: {gained} AUC over the primary at {hours:d} h on {rows:d} common rows",
    "启用：{hours} 小时上比主模型的 AUC 高 {gained}，共 {rows} 行相同样本",
)
STACK_ABSENT = Phrase("off: the bundle has no stack over all horizons", "不启用：模型包没有覆盖所有期限的堆叠模型")
STACK_SHORT = Phrase(
    "off: the stack has {rows:d} out-of-fold rows, {needed:d} are needed",
    "不启用：堆叠模型只有 {rows} 行折外样本，需要 {needed} 行",
)
STACK_UNKNOWN = Phrase("off: too few rows to compare at {hours:d} h", "不启用：{hours} 小时样本太少，无法比较")
STACK_UNPROVEN = Phrase(
    "off: not proven better than the primary at {hours:d} h (lower bound {low:+.4f})",
    "不启用：{hours} 小时未证明优于主模型（下界 {low}）",
)
STACK_WORSE = Phrase(
    "off: worse than the primary at {hours:d} h ({difference:+.4f} AUC)",
    "不启用：{hours} 小时不如主模型（AUC {difference}）",
)
STACK_NOT_SHARPER = Phrase(
    "off: no lower log loss than the primary at {hours:d} h", "不启用：{hours} 小时的对数损失不低于主模型"
)

_CANDIDATE = "Candidate {fingerprint:s} ({algorithm:s}, {symbol:s}, {provenance} data)"
_CANDIDATE_ZH = "候选模型 {fingerprint}（{algorithm}，{symbol}，{provenance}）"
PROMOTED = Phrase(
    _CANDIDATE + " is promoted for {phase}: all {count:d} gates pass. {more}",
    _CANDIDATE_ZH + "晋升（{phase}）：{count} 道闸门全部通过。{more}",
)
REFUSED = Phrase(
    _CANDIDATE + " is refused for {phase}: {failed:d} of {count:d} gates fail. {reasons}. {more}",
    _CANDIDATE_ZH + "被拒绝（{phase}）：{count} 道闸门中 {failed} 道未通过。{reasons}。{more}",
)
ALSO_FAILS = Phrase(
    "For {phase} it would also fail {gate}: {reason}. {more}", "若用于{phase}，{gate}也不会通过：{reason}。{more}"
)

_GATE = re.compile(rf"(?:^|; )({'|'.join((*GATES, STACKING.en))}): ")


def in_line(line: str, said: Callable[[str], str]) -> str:
    """A line of `gate: reason`, separated by semicolons, with gates and reasons said again; another line stays.

    Args:
        line: as `registry.promotions.decision` and the check before loading a bundle write it.
        said: how a name or a reason is said.
    """
    starts = list(_GATE.finditer(line))
    if not starts or starts[0].start():
        return line
    ends = [following.start() for following in starts[1:]] + [len(line)]
    return "；".join(
        f"{said(start[1])}（{start[1]}）：{said(line[start.end() : end])}"
        for start, end in zip(starts, ends, strict=True)
    )
