"""What is said of every alert: its name, what to do, and the sentences of its text.

Belongs here: the words in both languages. Does not belong: when a fact is an alert (`operations.alerting.rules`), the
steps of an incident (docs/operations.md and docs/operations.zh-CN.md, a section per kind).
"""

from types import MappingProxyType
from typing import NamedTuple

from eth_pipeline.contracts.alert import AlertKind
from eth_pipeline.contracts.wording.phrase import Phrase


class AlertWords(NamedTuple):
    """A kind in the reader's language, and the first thing to do."""

    name: Phrase
    to_do: Phrase


def _words(kind: AlertKind, zh: str, to_do: Phrase) -> tuple[AlertKind, AlertWords]:
    return kind, AlertWords(Phrase(str(kind), zh), to_do)


_ALL = (
    _words(
        AlertKind.STALE_STREAK,
        "数据连续过期",
        Phrase(
            "See `eth-pipeline health` and the exchange's status; nothing opens meanwhile.",
            "查看 `eth-pipeline health` 和交易所状态；在此期间不会开仓。",
        ),
    ),
    _words(
        AlertKind.ML_SILENT,
        "模型持续无预测",
        Phrase(
            "See `eth-pipeline health --verbose` and `eth-pipeline alias --check-only`.",
            "查看 `eth-pipeline health --verbose` 和 `eth-pipeline alias --check-only`。",
        ),
    ),
    _words(
        AlertKind.EXCHANGE_FAILING,
        "交易所接口熔断",
        Phrase(
            "It closes by itself when a probe succeeds; look at the exchange's status and at this host's network.",
            "探测成功后自动恢复；请查看交易所状态和本机网络。",
        ),
    ),
    _words(
        AlertKind.ALWAYS_HOLD,
        "长时间观望",
        Phrase(
            "A quiet market is one explanation; thresholds that nothing reaches or a part that is missing are "
            "others. See `eth-pipeline shadow-report`.",
            "可能是行情平淡，也可能是阈值过高或缺了某一环。请查看 `eth-pipeline shadow-report`。",
        ),
    ),
    _words(
        AlertKind.STATE_CHANGED,
        "信号状态变化",
        Phrase(
            "The board and `eth-pipeline signals show newest` say what each reason means and what cures it.",
            "看板和 `eth-pipeline signals show newest` 给出每个原因的含义与处理办法。",
        ),
    ),
    _words(
        AlertKind.RUN_FAILED,
        "运行失败",
        Phrase(
            "Open the run in the Dagster UI; further failures of the same kind are not told until the job succeeds.",
            "在 Dagster UI 中打开该次运行；该作业成功之前，同类失败不再重复通知。",
        ),
    ),
    _words(
        AlertKind.CHECK_FAILED,
        "资产检查未通过",
        Phrase(
            "Open the asset's checks in the Dagster UI: the newest evaluation shows the rows and figures.",
            "在 Dagster UI 中打开该资产的检查：最近一次评估列有相关的行和数值。",
        ),
    ),
    _words(
        AlertKind.PROMOTION,
        "模型晋升变动",
        Phrase(
            "`eth-pipeline promotions list` has the whole decision; `eth-pipeline rollback` is the way back.",
            "完整的决定见 `eth-pipeline promotions list`；需要退回时用 `eth-pipeline rollback`。",
        ),
    ),
    _words(
        AlertKind.ALIAS_MOVED,
        "生产别名不一致",
        Phrase(
            "`eth-pipeline alias --check-only` shows all three; until they agree only the verified bundle of "
            "this host speaks.",
            "`eth-pipeline alias --check-only` 会列出三方；一致之前，只有本机已校验的模型包参与决策。",
        ),
    ),
    _words(
        AlertKind.DRIFT,
        "特征漂移",
        Phrase(
            "The model may be out of its depth; look at the shadow report before trusting it, and consider retraining.",
            "模型可能已不适用；采信之前先看影子报告，并考虑重新训练。",
        ),
    ),
    _words(
        AlertKind.DISK_LOW,
        "磁盘空间不足",
        Phrase("Free space before writes fail.", "请在写入失败之前腾出空间。"),
    ),
    _words(
        AlertKind.SIGNAL_OVERDUE,
        "信号逾期",
        Phrase(
            "Look whether the daemon runs (`systemctl status eth-pipeline-daemon`) and at its newest runs.",
            "检查守护进程是否在运行（`systemctl status eth-pipeline-daemon`），并查看它最近的运行。",
        ),
    ),
    _words(
        AlertKind.RULE_BROKEN,
        "告警规则失效",
        Phrase(
            "Nobody watches this now: read the error, cure it, and ask again with `eth-pipeline alerts check`.",
            "目前无人看守这一项：查看并消除错误，再用 `eth-pipeline alerts check` 重新检查。",
        ),
    ),
)
ALERTS: MappingProxyType[AlertKind, AlertWords] = MappingProxyType(dict(_ALL))

TITLES = tuple(
    phrase
    for kind, words in ALERTS.items()
    for phrase in (
        Phrase(f"{kind}: {{subject:s}}", f"{words.name.zh}（{kind}）：{{subject}}"),
        Phrase(f"over: {kind} {{subject:s}}", f"已解除：{words.name.zh}（{kind}）：{{subject}}"),
    )
)
BODY = Phrase("{text}\n{to_do}\nRunbook: {page}", "{text}\n{to_do}\n运行手册：{page}")
RUNBOOK = Phrase("docs/operations.md#{kind:s}", "docs/operations.zh-CN.md#{kind}")
OVER = Phrase(
    "Last seen at {end}, after {lasted}. It was: {text}", "最后一次出现在 {end}，持续 {lasted}。内容为：{text}"
)

STALE_STREAK = Phrase(
    "Stale data in each of the last {hours:d} decided hours, now: {names}. The newest is {hour}, {state}.",
    "最近 {hours} 个已决策小时都有过期数据，目前为：{names}。最新一小时 {hour}，状态{state}。",
)
ML_SILENT = Phrase(
    "No model answered in the last {hours:d} decided hours; signals run on the base strategy. The newest says: {why}.",
    "最近 {hours} 个已决策小时没有模型给出预测；信号只按基础策略运行。最新一小时的说明：{why}。",
)
ALWAYS_HOLD = Phrase(
    "The last {hours:d} hours all say HOLD, {blocked:d} of them because they were blocked.",
    "最近 {hours} 小时全部观望（HOLD），其中 {blocked} 小时是因为被阻断。",
)
BREAKER_OPEN = Phrase(
    "{subject:s}: {failures:d} failures in a row, breaker open since {since} ({why}).",
    "{subject}：连续失败 {failures} 次，熔断器自 {since} 起断开（{why}）。",
)
BANNED = Phrase("{subject:s}: this address is banned ({why}).", "{subject}：本机地址被封禁（{why}）。")
STATE_CHANGED = Phrase("{series} {hour}: {before} -> {after}", "{series} {hour}：{before} → {after}")
STATE_CHANGED_BY = Phrase("{series} {hour}: {before} -> {after}: {why}", "{series} {hour}：{before} → {after}：{why}")
NOTHING_BEFORE = Phrase("nothing", "无")
RUN_FAILED = Phrase(
    "Run {run:s} of {job:s} failed at {steps}: {error}", "作业 {job} 的运行 {run} 在 {steps} 失败：{error}"
)
NO_STEP = Phrase("no step", "步骤之外")
CHECK_FAILED = Phrase("The check {check:s} of {asset:s} failed: {said}", "资产 {asset} 的检查 {check} 未通过：{said}")
SAYS_NO_MORE = Phrase("it says nothing more", "没有更多说明")
PROMOTION = Phrase(
    "Version {version} ({fingerprint}) {moved} at {at}, decision {decision}: {why}",
    "版本 {version}（{fingerprint}）于 {at} {moved}，决定 {decision}：{why}",
)
NO_VERSION = Phrase("(none)", "（无）")
MOVES: MappingProxyType[str, Phrase] = MappingProxyType(
    {
        "promoted": Phrase("was promoted to production", "晋升为生产模型"),
        "rolled_back": Phrase("was returned to by a rollback", "经回滚重新启用"),
        "adopted": Phrase(
            "was put into production by hand in the registry, and verified", "在注册表中被手工设为生产版本，已校验"
        ),
        "refused": Phrase("was refused", "被拒绝"),
        "abandoned": Phrase("was begun to be promoted and given up", "开始晋升后被放弃"),
    }
)
DRIFT = Phrase(
    "{share:.0%} of the model's inputs drifted over the last {rows} hours (limit {limit:.0%}), the furthest: {worst}.",
    "最近 {rows} 小时有 {share} 的模型输入发生漂移（上限 {limit}），最严重的是：{worst}。",
)
DISK_LOW = Phrase(
    "{free:.1f} of {total:.0f} GB are left on the disk of {folder}, less than {limit:.1f}.",
    "{folder} 所在磁盘（共 {total} GB）只剩 {free} GB，低于 {limit} GB。",
)
RULE_BROKEN = Phrase(
    "Whether `{kind:s}` holds cannot be told: {error}: {said}", "无法判断 `{kind}` 是否成立：{error}：{said}"
)
NO_MESSAGE = Phrase("no message", "没有错误信息")
LAKE_SILENT = Phrase(
    "The lake tells no signals: {why} Check its disk or store, and restore the table.",
    "数据湖读不出信号：{why} 请检查磁盘或存储，并恢复该表。",
)
NEVER_SIGNALLED = Phrase(
    "No signal of {series} was ever recorded here. Start the daemon, or switch this timer off.",
    "这里从未记录过 {series} 的信号。请启动守护进程，或关闭这个定时器。",
)
SIGNAL_OVERDUE = Phrase(
    "Nothing has recorded a signal of {series} since {newest}; the record of {due} never came.",
    "自 {newest} 起没有记录过 {series} 的信号；{due} 的记录一直没有出现。",
)
TEST = Phrase(
    "Test of the alerts of {series} in {home}. Nothing is wrong.", "这是 {series}（{home}）的告警测试。一切正常。"
)
TEST_TITLE = Phrase("test", "测试")
SEVERITIES = (Phrase("info", "提示"), Phrase("warning", "警告"), Phrase("failure", "故障"))


def body(kind: AlertKind, text: str) -> str:
    """The whole body of a message, as it is kept: the text, what to do, where the runbook goes on."""
    return BODY(text=text, to_do=ALERTS[kind].to_do(), page=RUNBOOK(kind=kind))
