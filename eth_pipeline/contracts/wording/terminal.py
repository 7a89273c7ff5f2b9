"""The words of the terminal tables about signals, alerts, gates, health and lineage.

Belongs here: the words in both languages. Does not belong: layout (`cli.tables`, `cli.alerts`), help texts and errors,
which are English.
"""

from types import MappingProxyType

from eth_pipeline.contracts.wording.phrase import Phrase

TERMINAL: MappingProxyType[str, Phrase] = MappingProxyType(
    {
        en: Phrase(en, zh)
        for en, zh in (
            ("Signal {symbol} {hour} ({phase})", "信号 {symbol} {hour}（{phase}）"),
            ("Signals", "信号"),
            ("field", "字段"),
            ("value", "值"),
            ("state", "状态"),
            ("action", "动作"),
            ("{action}, size {size} of equity", "{action}，仓位为权益的 {size}"),
            ("may open / close", "可开仓 / 可平仓"),
            ("reasons", "原因"),
            ("model version", "模型版本"),
            ("forecast, P(up)", "预测，上涨概率"),
            ("none: {why}", "无：{why}"),
            ("consensus", "共识"),
            (
                "{direction}, strength {strength} of 100, coverage {coverage}",
                "{direction}，强度 {strength}/100，覆盖率 {coverage}",
            ),
            ("freshness", "新鲜度"),
            ("{fresh} of {count} streams fresh", "{count} 条数据流中 {fresh} 条新鲜"),
            ("; stale: {names}", "；过期：{names}"),
            ("mark price", "标记价格"),
            ("provenance", "数据来源"),
            ("run / commit", "运行 / 提交"),
            ("hour", "整点"),
            ("size", "仓位"),
            ("strength", "强度"),
            ("P(up) 5 h", "5 小时上涨概率"),
            ("model", "模型"),
            ("Alerts", "告警"),
            ("since", "始于"),
            ("kind", "类别"),
            ("subject", "对象"),
            ("text", "内容"),
            ("nothing is wrong", "一切正常"),
            ("{count} messages wait for delivery", "{count} 条消息等待送达"),
            ("Messages", "消息"),
            ("at", "时间"),
            ("title", "标题"),
            ("delivered", "已送达"),
            ("waits", "等待中"),
            (
                "{delivered} messages delivered, {refused} not taken, {waiting} wait.",
                "送达 {delivered} 条，未接收 {refused} 条，等待 {waiting} 条。",
            ),
            ("alive", "运行正常"),
            ("overdue", "逾期"),
            # gates
            ("Promotion decision for {phase}: {verdict}", "晋升决定（{phase}）：{verdict}"),
            ("Gates", "闸门"),
            ("gate", "闸门"),
            ("verdict", "结论"),
            ("threshold", "阈值"),
            ("needed for", "适用阶段"),
            ("reason", "原因"),
            ("pass", "通过"),
            ("fail", "未过"),
            ("FAIL", "不通过"),
            # health, lineage, processes
            ("Health", "健康检查"),
            ("check", "检查"),
            ("detail", "说明"),
            ("ok", "正常"),
            ("warn", "警告"),
            ("healthy", "健康"),
            ("unhealthy", "不健康"),
            ("Lineage of {hour}", "{hour} 的血缘"),
            ("step", "步骤"),
            ("what identifies it", "标识"),
            ("Processes", "进程"),
            ("process", "进程"),
            ("pid", "进程号"),
            ("commit", "提交"),
            ("against what lies here", "与本机现状相比"),
        )
    }
)
