"""What the board says: the words of its states and refusals, and whether its newest record is of now.

Belongs here: the words in both languages. Does not belong: the labels (`labels`), layout
(board/showing/templates), which facts a page shows.
"""

from types import MappingProxyType

from eth_pipeline.contracts.wording.phrase import Phrase

NONE = Phrase("none", "无")
STATES = (
    Phrase("tradeable", "可交易"),
    Phrase("degraded", "降级"),
    Phrase("blocked", "阻断"),
    Phrase("LONG", "做多"),
    Phrase("SHORT", "做空"),
    Phrase("HOLD", "观望"),
    Phrase("paper", "模拟盘"),
    Phrase("live", "实盘"),
    Phrase("base", "基础策略"),
    Phrase("forecast", "模型预测"),
    Phrase("fresh", "新鲜"),
    Phrase("stale", "过期"),
    Phrase("record", "仅记录"),
    Phrase("degrade", "降级信号"),
    Phrase("block", "阻断信号"),
    Phrase("halt", "停机待解除"),
    Phrase("archive", "归档"),
    Phrase("api", "接口"),
    Phrase("simulated", "模拟行情"),
    Phrase("replay", "回放行情"),
    Phrase("calm", "平静"),
    Phrase("normal", "正常"),
    Phrase("stressed", "剧烈"),
    Phrase("yes", "是"),
    Phrase("no", "否"),
    NONE,
    Phrase("promoted", "晋升"),
    Phrase("rolled_back", "回滚"),
    Phrase("adopted", "手工启用"),
    Phrase("refused", "拒绝"),
    Phrase("abandoned", "放弃"),
    Phrase("promoting", "晋升中"),
    Phrase("refusing", "拒绝中"),
    Phrase("local", "本地已有"),
    Phrase("fetched", "已取得"),
    Phrase("unavailable", "取不到"),
    Phrase("restricted", "接口拒绝本机"),
    Phrase("done", "完成"),
    Phrase("failed", "失败"),
    Phrase("skipped", "跳过"),
    Phrase("interrupted", "中断"),
    Phrase("running", "运行中"),
    Phrase("ended", "已结束"),
    Phrase("elsewhere", "在另一台主机"),
    Phrase("unreadable", "读不出"),
    Phrase("waiting", "等待中"),
    Phrase("overdue", "逾期"),
    Phrase("absent", "缺失"),
    Phrase("ahead", "时钟超前"),
)
"""Values that records and tables hold as codes."""

STREAMS: MappingProxyType[str, Phrase] = MappingProxyType(
    {
        stream: Phrase(stream, zh)
        for stream, zh in (
            ("klines", "K 线"),
            ("mark_klines", "标记价格"),
            ("spot_klines", "现货 K 线"),
            ("funding_rates", "资金费率"),
            ("open_interest", "未平仓量"),
            ("premium_klines", "溢价指数"),
            ("positioning", "多空持仓比"),
        )
    }
)

STANDING_ABSENT = Phrase(
    "No signal was ever recorded for this symbol and phase. Run the hourly job.",
    "这个交易对和阶段从未记录过信号。请运行每小时作业。",
)
STANDING_CURRENT = Phrase("The record of {hour} is the signal of this hour.", "{hour} 的记录就是这一小时的信号。")
STANDING_WAITING = Phrase(
    "The record of {hour} is being made; it is due by {due}. The newest is of {known}.",
    "{hour} 的记录正在生成，最迟 {due} 到。最新一条属于 {known}。",
)
STANDING_AHEAD = Phrase(
    "The newest record is of {known} and it is {now} here: one of two clocks is wrong.",
    "最新记录属于 {known}，而本机时间是 {now}：两个时钟之一有误。",
)
STANDING_OVERDUE = Phrase(
    "There is no record of {hour}, which was due by {due}. The newest is of {known}, {age} ago. Check the daemon: "
    "eth-pipeline health --verbose.",
    "没有 {hour} 的记录，它最迟应在 {due} 到。最新一条属于 {known}，距今 {age}。请检查守护进程：eth-pipeline "
    "health --verbose。",
)
STANDING_UNREADABLE = Phrase("the signal log cannot be read", "信号日志读不出")
DURATIONS = (
    Phrase("{days:d} d {hours:d} h", "{days} 天 {hours} 小时"),
    Phrase("{hours:d} h {minutes:d} min", "{hours} 小时 {minutes} 分"),
    Phrase("{minutes:d} min", "{minutes} 分钟"),
    Phrase("{seconds:d} s", "{seconds} 秒"),
)

PROBLEMS = (
    Phrase("There is no record of {hour}.", "没有 {hour} 的记录。"),
    Phrase("{text} is no hour: {why}.", "{text} 不是整点时刻：{why}。"),
    Phrase("The board is read-only.", "看板只读。"),
    Phrase(
        "This host name is none of the board's. Add it to `board.allowed_hosts`.",
        "看板不认识这个主机名。请把它加入 `board.allowed_hosts`。",
    ),
    Phrase("Send the board's token as `Authorization: Bearer ...`.", "请以 `Authorization: Bearer ...` 发送看板令牌。"),
    Phrase("The form was sent from another site.", "表单来自另一个站点。"),
    Phrase("The form did not arrive.", "没有收到表单。"),
    Phrase("The form is too long.", "表单过长。"),
    Phrase("Too many wrong tokens. Try again in {seconds:d} s.", "令牌错误次数过多。请 {seconds} 秒后再试。"),
    Phrase("That is not the token.", "令牌不正确。"),
    Phrase("Not Found", "未找到"),
    Phrase("Service Unavailable", "暂不可用"),
    Phrase("Forbidden", "禁止访问"),
    Phrase("Misdirected Request", "地址不符"),
    Phrase("The board has a bug; its log has the trace.", "看板出错了；日志中有调用栈。"),
)
