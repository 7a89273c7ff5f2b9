"""What the health check says: its questions, and the answers of each.

Belongs here: the words in both languages. Does not belong: what is asked and what it means (`operations.health`,
`operations.host_health`), the answers about processes (`processes`) and about the registry's alias (`alias`). What an
error of another part says stays English, as everywhere.
"""

from eth_pipeline.contracts.wording.phrase import Phrase

DEPENDENCIES = Phrase("dependencies", "依赖包")
PUBLIC_KEYS = Phrase("public keys", "验签公钥")
ALERT_TARGETS = Phrase("alert targets", "告警目标")
EXCHANGE_ANSWERS = Phrase("exchange answers", "交易所有应答")
LAKE_READABLE = Phrase("lake readable", "数据湖可读")
LAKE_WRITABLE = Phrase("lake writable", "数据湖可写")
STREAMS_FRESH = Phrase("streams fresh", "各数据流新鲜")
STREAM_FRESH = Phrase("{stream} {symbol:s} fresh", "{stream} {symbol} 新鲜")
BUNDLE_VERIFIES = Phrase("bundle verifies", "模型包校验通过")
BUNDLE_FORECASTS = Phrase("bundle forecasts the newest hour", "模型包能预测最新一小时")
SIGNAL_RECENT = Phrase("newest signal recent", "最新信号够新")
SIGNAL_CARRIES_ML = Phrase("newest signal carries ml_*", "最新信号带有 ml_* 字段")
REGISTRY_ANSWERS = Phrase("registry answers", "注册表有应答")
ALIAS_AGREES = Phrase("alias agrees", "生产别名一致")
CLOCK = Phrase("clock", "时钟")
PROCESSES = Phrase("processes", "进程")
DISK = Phrase("disk", "磁盘")
ALERTS_DELIVERED = Phrase("alerts delivered", "告警已送达")

NOT_INSTALLED = Phrase("not installed: {names:s}. Run make setup.", "未安装：{names}。请运行 make setup。")
INSTALLED = Phrase("{count:d} packages found", "找到 {count} 个包")
EXCHANGE_TIME = Phrase("exchange time {time}", "交易所时间 {time}")

ROWS_UNTIL = Phrase(
    "klines at version {version:d}, {provenance} data until {time}",
    "klines 表版本 {version}，{provenance}，数据截至 {time}",
)
NO_ROWS_AT = Phrase("klines at version {version:d}, no rows", "klines 表版本 {version}，没有数据")
NOTHING_STORED = Phrase(
    "nothing is stored in {place:s} yet; the first hourly run will", "{place} 中还没有数据；首次每小时运行会写入"
)
NO_KLINES = Phrase(
    "There is no klines table in {place:s}. Run the hourly job once.",
    "{place} 中没有 klines 表。请运行一次每小时作业。",
)
OBJECT_STORE = Phrase(
    "{place:s} is an object store: a probe would leave an object behind. That the newest signal is recent is the "
    "evidence that it takes writes.",
    "{place} 是对象存储：试写会留下对象。最新信号够新就说明它可写。",
)
NO_FOLDER = Phrase("There is no folder {place:s}. Run the hourly job once.", "没有目录 {place}。请运行一次每小时作业。")
TAKES_FILES = Phrase("{place:s} takes files", "{place} 可以写入文件")
NO_ROWS = Phrase("no rows", "没有数据")

BUNDLE = Phrase("version {version}, {fingerprint:s}, expires {time}", "版本 {version}，{fingerprint}，{time} 到期")
NO_FEATURE_ROWS = Phrase("There is no feature row yet. Run the hourly job.", "还没有特征行。请运行每小时作业。")
NO_FEATURE_ROW = Phrase(
    "There is no feature row for {hour}. Run the hourly job.", "没有 {hour} 的特征行。请运行每小时作业。"
)
NO_SIGNAL = Phrase("no signal was ever recorded. Run the hourly job.", "从未记录过信号。请运行每小时作业。")
NEWEST_SIGNAL = Phrase("the newest is of {hour}, {state}", "最新一条属于 {hour}，{state}")

PRODUCTION_IS = Phrase("production is version {version}", "生产版本为 {version}")
NO_PRODUCTION = Phrase("no version is in production", "没有生产版本")
NO_REGISTRY = Phrase(
    "There is no registry in {place:s} yet. Train and promote a candidate.",
    "{place} 中还没有注册表。请训练并晋升一个候选模型。",
)
NO_KEYS = Phrase(
    "No key file at {places:s}: no bundle can be verified. See `eth-pipeline keys`.",
    "{places} 处没有密钥文件：无法校验模型包。请查看 `eth-pipeline keys`。",
)
KEYS_PINNED = Phrase("{count:d} pinned", "已固定 {count} 个")
NO_TARGETS = Phrase(
    "`alerts.targets_file` is not set or empty: nobody is told of anything.",
    "`alerts.targets_file` 未设置或为空：出了事没有人会知道。",
)
TARGETS = Phrase("{count:d} targets", "{count} 个目标")

CLOCK_NEVER_MEASURED = Phrase(
    "The exchange's clock was never measured from here. Run the hourly job once.",
    "本机从未测过交易所时钟。请运行一次每小时作业。",
)
CLOCK_OFFSET = Phrase(
    "the exchange is {offset:+.3f} s from this host, measured {time}",
    "交易所与本机相差 {offset} 秒，测于 {time}",
)
CLOCK_TOO_FAR = Phrase(
    "the exchange is {offset:+.3f} s from this host, measured {time}; runs wait {limit:g} s. Let the host keep time by "
    "NTP.",
    "交易所与本机相差 {offset} 秒，测于 {time}；运行只等待 {limit} 秒。请让本机用 NTP 校时。",
)
DISK_FREE = Phrase("{free:.1f} GB free, at least {least:.1f} GB needed", "剩余 {free} GB，至少需要 {least} GB")
DISK_FULL = Phrase(
    "{free:.1f} GB free, at least {least:.1f} GB needed. Free space on the disk of {place:s}.",
    "剩余 {free} GB，至少需要 {least} GB。请清理 {place} 所在磁盘。",
)
NOTHING_TOLD = Phrase("nothing was told yet", "还没有发送过消息")
NOTHING_WAITS = Phrase("nothing waits", "没有待送达的消息")
MESSAGES_WAIT = Phrase(
    "{waiting:d} messages wait for delivery. See `eth-pipeline alerts history` and `alerts test`.",
    "{waiting} 条消息等待送达。请查看 `eth-pipeline alerts history` 和 `alerts test`。",
)
