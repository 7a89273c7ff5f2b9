"""The sentences that fill in the detail of a reason: what was found in one hour, with its figures.

Belongs here: the words in both languages, and reading a line of several reasons. Does not belong: what a code means
(`reasons`), what is said of a forecast (`forecasts`).
"""

import re
from collections.abc import Callable

from eth_pipeline.contracts.signal import ReasonCode
from eth_pipeline.contracts.wording.phrase import Phrase

NO_REST = Phrase("REST refuses this address; only the archive was used", "REST 接口拒绝本机地址，只用了归档数据")
NO_ANSWER = Phrase(
    "the exchange did not answer in this run; only stored rows were used", "本次运行中交易所没有应答，只用了已存的数据"
)
NOT_MEASURED = Phrase("its lag was not measured", "没有测得滞后")
GAP = Phrase("{rows:d} rows {cause}, the first at {first}", "{rows} 行{cause}，第一行在 {first}")
GAP_CAUSES = tuple(
    Phrase(en, zh)
    for en, zh in (
        ("missing", "缺失"),
        ("late", "迟到"),
        ("not_listed", "尚未上市"),
        ("zero", "为零"),
        ("incomplete", "字段不全"),
        ("impossible", "数值自相矛盾"),
        ("off_grid", "时刻不在网格上"),
        ("duplicate", "重复"),
        ("revised", "被修订"),
        ("suspect_truncated", "疑似截断"),
        ("suspect_spike", "疑似插针"),
        ("file_refused", "来自被拒的归档文件"),
        ("file_replaced", "来自被替换的归档文件"),
    )
)
"""The values of `quality.Cause` as the gate shows them."""
NO_ROWS = Phrase("no rows, limit {limit:.2f} h", "没有数据，上限 {limit} 小时")
NEWEST_TOO_OLD = Phrase(
    "newest data is {age:.2f} h old, limit {limit:.2f} h", "最新数据已有 {age} 小时，上限 {limit} 小时"
)
NO_FEATURE_ROW = Phrase("no feature row for this hour", "这一小时没有特征行")
FEW_FEATURES = Phrase(
    "{share:.0%} of the feature values are there, {floor:.0%} needed", "非缺失特征占 {share}，至少需要 {floor}"
)
FEW_TIMEFRAMES = Phrase(
    "timeframes of {share:.0%} of the weight are there, {floor:.0%} needed",
    "可用周期的权重占 {share}，至少需要 {floor}",
)
LAST_SEEN = Phrase(
    "last seen at {hour}; clean hour {number:d} of {needed:d}", "上次出现在 {hour}；正常小时 {number}/{needed}"
)
NOT_DECIDED = Phrase("no decision was made before {end}", "{end} 之前没有作出决策")
NO_FORECAST = Phrase(
    "bundle {version} has no forecast for {hour}; materialize `forecast`",
    "模型包 {version} 没有 {hour} 的预测；请物化 `forecast`",
)
KILL_SWITCH_PULLED = Phrase("the kill switch is pulled: {why}", "急停开关已按下：{why}")
NO_REASON_GIVEN = Phrase("no reason given", "未注明原因")
HALTED = Phrase(
    "halted by {names}: stale beyond the limit. Look into it, then release with `eth-pipeline kill-switch off`",
    "因 {names} 过期超限而停止。查明原因后用 `eth-pipeline kill-switch off` 解除",
)
NO_EQUITY = Phrase(
    "equity is {equity:,.2f} USDT: there is nothing to trade with", "账户权益为 {equity} USDT：没有可用于交易的资金"
)
DRAWDOWN = Phrase(
    "equity is {fall:.2%} below its peak of {peak:,.2f} USDT, limit {limit:.0%}; review the account, then set "
    "`account.drawdown_since`",
    "账户权益较峰值 {peak} USDT 回撤 {fall}，限额 {limit}；复盘账户后设置 `account.drawdown_since`",
)
LOSS = Phrase(
    "the account lost {lost:.2%} in {hours:d} hours, from {before:,.2f} USDT at {since} to {equity:,.2f}; limit "
    "{limit:.0%}",
    "账户 {hours} 小时内亏损 {lost}，从 {since} 的 {before} USDT 到 {equity}；限额 {limit}",
)


_REASON = re.compile(rf"(?:^|; )({'|'.join(ReasonCode)}) (.*?): ")


def in_line(line: str, said: Callable[[str], str]) -> str:
    """A `gating_reason` with its codes and details said again; a line of another make stays as it is.

    Args:
        line: `code subject: detail`, separated by semicolons, as `signals.gating.policy` writes it.
        said: how a code or a detail is said.
    """
    starts = list(_REASON.finditer(line))
    if not starts or starts[0].start():
        return line
    ends = [following.start() for following in starts[1:]] + [len(line)]
    return "；".join(
        f"{said(start[1])}（{start[1]}）{start[2]}：{said(line[start.end() : end])}"
        for start, end in zip(starts, ends, strict=True)
    )
