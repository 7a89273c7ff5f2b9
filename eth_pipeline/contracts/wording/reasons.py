"""What is said of every reason code: its name, its cause, its cure.

Belongs here: the words in both languages; docs/reason_codes.md is made of them. Does not belong: the sentence with the
figures of one hour (`details`), when a reason holds (`signals.gating.gate`), what it does to an hour
(`signals.gating.policy`).
"""

from types import MappingProxyType
from typing import NamedTuple

from eth_pipeline.contracts.signal import ReasonCode
from eth_pipeline.contracts.wording.phrase import Phrase


class ReasonWords(NamedTuple):
    """A code in the reader's language, why it appears, and what an operator does about it."""

    name: Phrase
    cause: Phrase
    cure: Phrase


def _words(code: ReasonCode, zh: str, cause: Phrase, cure: Phrase) -> tuple[ReasonCode, ReasonWords]:
    return code, ReasonWords(Phrase(str(code), zh), cause, cure)


_ALL = (
    _words(
        ReasonCode.STREAM_STALE,
        "数据流过期",
        Phrase(
            "A stream with policy `block` has no row as new as its `max_lag_hours` asks, counted on data time.",
            "策略为 `block` 的数据流，按数据时间计，最新一行已超出 `max_lag_hours`。",
        ),
        Phrase(
            "Look at the ingestion run of that stream and at its breaker; the next good ingestion clears it.",
            "查看该数据流的采集运行和熔断器；下一次成功采集后自动解除。",
        ),
    ),
    _words(
        ReasonCode.STREAM_ABSENT,
        "数据流缺失",
        Phrase(
            "A stream with policy `block` has no row at all, or its lag was not measured.",
            "策略为 `block` 的数据流一行也没有，或者没有测得它的滞后。",
        ),
        Phrase(
            "Backfill the stream; check `symbol` and `base_interval` against what was ingested.",
            "回补该数据流；核对 `symbol`、`base_interval` 与实际采集的是否一致。",
        ),
    ),
    _words(
        ReasonCode.SOURCE_DEGRADED,
        "数据源降级",
        Phrase(
            "A stream with policy `degrade` is stale or absent: the signal lacks one source.",
            "策略为 `degrade` 的数据流过期或缺失：信号少了一个数据源。",
        ),
        Phrase(
            "As for a stale stream; where the source does not exist (replay), nothing: the signal stays degraded.",
            "处理方法同数据流过期；若该数据源本来就没有（回放行情），无需处理，信号保持降级。",
        ),
    ),
    _words(
        ReasonCode.EXCHANGE_UNREACHABLE,
        "交易所不可达",
        Phrase(
            "The exchange did not answer in this run, so time and tail could not be checked; stored rows are fresh.",
            "本次运行中交易所没有应答，无法核对时间和最新行情；已存的数据仍是新鲜的。",
        ),
        Phrase(
            "Check network, region (451/403) and ban (418) in the health report; time cures the rest.",
            "在健康检查中查看网络、地区限制（451/403）和封禁（418）；其余情况等待即可恢复。",
        ),
    ),
    _words(
        ReasonCode.ARCHIVE_ONLY,
        "仅有归档数据",
        Phrase(
            "The REST API refuses this address (451 or 403); rows come from the public archive, a day late at best.",
            "REST 接口拒绝本机地址（451 或 403）；数据只来自公开归档，至少晚一天。",
        ),
        Phrase(
            "Run from a permitted location. Retrying cannot help; the archive keeps history and training going.",
            "换到允许访问的地区运行。重试无用；归档足以维持历史数据和训练。",
        ),
    ),
    _words(
        ReasonCode.DATA_GAP,
        "数据缺口",
        Phrase(
            "The gap ledger has an absent, refused or doubted row of the main klines or mark klines inside "
            "`freshness.gap_window_hours`: what was computed over that window may be wrong.",
            "缺口台账显示，`freshness.gap_window_hours` 之内主交易对的 K 线或标记价格 K "
            "线有缺失、被拒或存疑的行：在该窗口上算出的结果可能有误。",
        ),
        Phrase(
            "Read the entries of the gap ledger. A row that comes is repaired by the next ingestion; otherwise "
            "time moves it out of the window.",
            "查看缺口台账的条目。补到的行由下一次采集修复；否则等它移出窗口。",
        ),
    ),
    _words(
        ReasonCode.FEATURES_MISSING,
        "特征缺失",
        Phrase(
            "There is no feature row for exactly this hour: a step between data and features did not run.",
            "没有恰好属于这一小时的特征行：从数据到特征之间有一步没有运行。",
        ),
        Phrase(
            "Materialize the features of the hour and read why their run failed.",
            "物化这一小时的特征，并查看该次运行失败的原因。",
        ),
    ),
    _words(
        ReasonCode.COVERAGE_LOW,
        "特征覆盖率不足",
        Phrase(
            "Fewer of the hour's feature values are present than `gates.min_coverage_core` asks.",
            "这一小时的非缺失特征比例低于 `gates.min_coverage_core`。",
        ),
        Phrase(
            "Find the stream behind the missing family in the freshness of the record; repair its gap.",
            "从记录的新鲜度中找出缺失特征背后的数据流，修复其缺口。",
        ),
    ),
    _words(
        ReasonCode.CONSENSUS_THIN,
        "共识依据不足",
        Phrase(
            "Closed bars exist for less weight than `signals.min_consensus_coverage`; the base strategy holds.",
            "已收盘 K 线所占的周期权重低于 `signals.min_consensus_coverage`；基础策略观望。",
        ),
        Phrase(
            "Backfill 81 days of klines (24h bars need them) and repair gaps in the newest bars.",
            "回补 81 天 K 线（24h 周期需要），并修复最新 K 线的缺口。",
        ),
    ),
    _words(
        ReasonCode.ML_UNAVAILABLE,
        "模型预测不可用",
        Phrase(
            "A bundle is there and gave no forecast that can be believed: an error, an extreme probability, "
            "inputs far outside its training range, or quantiles that cross or are absurdly wide or narrow.",
            "模型包在，但没有给出可信的预测：报错、概率过于极端、输入远超训练范围，或者分位数交叉、过宽、过窄。",
        ),
        Phrase(
            "Read `ml_error` and `ml_reason` in the record; roll back if it persists.",
            "查看记录中的 `ml_error` 和 `ml_reason`；若持续出现，回滚到上一版本。",
        ),
    ),
    _words(
        ReasonCode.BUNDLE_ABSENT,
        "没有生产模型包",
        Phrase(
            "No production bundle lies on this host: none was promoted yet, or the alias was never materialized.",
            "本机没有生产模型包：尚无模型晋升，或别名从未物化到本机。",
        ),
        Phrase(
            "Train and promote, then materialize the production artifact.",
            "训练并晋升一个模型，然后物化 `production_bundle`。",
        ),
    ),
    _words(
        ReasonCode.BUNDLE_REFUSED,
        "模型包校验未通过",
        Phrase(
            "The production bundle failed verification: signature, hashes, schema, decision or phase.",
            "生产模型包校验失败：签名、哈希、特征结构、晋升决定或运行阶段不符。",
        ),
        Phrase(
            "Do not repair files by hand. Fetch it from the registry again or roll back; find out who wrote there.",
            "不要手工修改文件。从注册表重新取得，或回滚；并查明是谁写入的。",
        ),
    ),
    _words(
        ReasonCode.BUNDLE_EXPIRED,
        "模型包已过有效期",
        Phrase("The production bundle is past its expiry.", "生产模型包已过有效期。"),
        Phrase(
            "Train and promote a new one; `gates.bundle_valid_days` says how long the next lives.",
            "训练并晋升新模型；`gates.bundle_valid_days` 决定新包的有效天数。",
        ),
    ),
    _words(
        ReasonCode.HOUR_MISSED,
        "错过整点",
        Phrase(
            "Nothing decided this hour before it was over: host, daemon or schedule stood still.",
            "这一小时结束前没有作出决策：主机、守护进程或调度停了。",
        ),
        Phrase(
            "Check that the daemon runs and the schedule is on; the record itself is final.",
            "确认守护进程在运行、调度已开启；这条记录本身不会再变。",
        ),
    ),
    _words(
        ReasonCode.RUN_FAILED,
        "运行失败",
        Phrase("The hour's run failed before it could decide.", "这一小时的运行在作出决策之前就失败了。"),
        Phrase(
            "Read the failed step in the run of the record; run the hour again while it lasts.",
            "查看该次运行中失败的步骤；在这一小时结束之前可以重新运行。",
        ),
    ),
    _words(
        ReasonCode.KILL_SWITCH,
        "急停开关已按下",
        Phrase("An operator stopped trading.", "操作者停止了交易。"),
        Phrase("Release the kill switch when the cause is gone.", "原因消除后解除急停开关。"),
    ),
    _words(
        ReasonCode.RISK_LIMIT,
        "触及风控限额",
        Phrase(
            "The account met a limit on its daily loss, weekly loss or drawdown (the subject); opening is forbidden.",
            "账户触及日亏损、周亏损或最大回撤限额（见对象一栏）；禁止开仓。",
        ),
        Phrase(
            "Daily and weekly limits lift by themselves; after a drawdown, review and set `account.drawdown_since`.",
            "日、周限额到期自动解除；触及回撤限额后，复盘并设置 `account.drawdown_since`。",
        ),
    ),
    _words(
        ReasonCode.REGISTRY_DOUBTED,
        "注册表存疑",
        Phrase(
            "The registry did not answer, or a rollback made without it is not carried out there yet; the bundle "
            "in use was verified on this host.",
            "注册表没有应答，或离线回滚尚未同步到注册表；正在使用的模型包已在本机校验通过。",
        ),
        Phrase(
            "Bring MLflow back; the alias sensor reconciles by itself, `eth-pipeline alias --check-only` says when.",
            "恢复 MLflow；别名传感器会自动对账，可用 `eth-pipeline alias --check-only` 查看是否完成。",
        ),
    ),
    _words(
        ReasonCode.RECOVERING,
        "恢复观察中",
        Phrase(
            "A reason that comes and goes (its code is the subject) ended, and not enough clean hours have passed.",
            "一个时有时无的原因（代码见对象一栏）刚刚消失，正常的小时数还不够。",
        ),
        Phrase(
            "Nothing; the hours pass. If it keeps returning, cure the reason it names.",
            "无需处理，等待即可。若反复出现，处理它所指的那个原因。",
        ),
    ),
)
REASONS: MappingProxyType[ReasonCode, ReasonWords] = MappingProxyType(dict(_ALL))
