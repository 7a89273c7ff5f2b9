"""What is said of a forecast, of the base strategy's scores and of a model's worth.

Belongs here: the words in both languages. Does not belong: when a forecast is distrusted (`signals.gating.guards`),
what a score is (`signals.technical.strategy`), how a model is judged (`models.figures.evaluation`).
"""

from eth_pipeline.contracts.wording.phrase import Phrase

ANSWERED = Phrase("version {version} answered", "版本 {version} 已给出预测")
ANSWERED_HERE = Phrase("version {version} answered on this host: {why}", "版本 {version} 已给出预测（本机推理）：{why}")
ANSWERED_REMOTELY = Phrase(
    "version {version} answered through the inference service", "版本 {version} 已给出预测（推理服务）"
)

NO_NUMBER = Phrase(
    "the {name} at {key} is {value}, which is no number; such an answer is no forecast",
    "{name}在 {key} 处为 {value}，不是数值；这样的回答不算预测",
)
PROBABILITY = Phrase("probability", "概率")
TOO_SURE = Phrase(
    "probability {listed} is nearer to 0 or 1 than {edge}: no honest model of this market is that sure",
    "概率 {listed} 距 0 或 1 不足 {edge}：诚实的模型在这个市场上不会如此确定",
)
OUT_OF_RANGE = Phrase(
    "{share:.0%} of the inputs are beyond the range the model was trained on, {allowed:.0%} allowed",
    "{share} 的输入超出模型的训练范围，最多允许 {allowed}",
)
QUANTILE_LEVELS = Phrase(
    "the {hours} h quantiles have the levels {levels}; two or more between 0 and 1 are needed",
    "{hours} 小时的分位数水平为 {levels}；需要两个以上介于 0 和 1 之间的水平",
)
QUANTILES_CROSS = Phrase(
    "the {hours} h quantiles cross: {values} should ascend", "{hours} 小时的分位数交叉：{values} 应当递增"
)
QUANTILES_APART = Phrase(
    "the {hours} h quantiles are {spread:.2%} apart; between {narrowest:.2%} and {widest:.2%} is believable",
    "{hours} 小时的分位数间距为 {spread}；可信范围为 {narrowest} 至 {widest}",
)
REGIME_NOTE = Phrase("regime {state} with probability {share:.2f}", "市场状态 {state}，概率 {share}")
CONTRADICTION_NOTE = Phrase(
    "{hours} h: probability of up {probability:.2f}, by the quantiles {implied:.2f}",
    "{hours} 小时：上涨概率 {probability}，按分位数为 {implied}",
)

STRATEGY_PARTS = tuple(
    Phrase(f"{en} {{points:+.0f}}", f"{zh} {{points}}")
    for en, zh in (
        ("close low in a steady band", "平稳布林带内收盘偏低"),
        ("close high in a steady band", "平稳布林带内收盘偏高"),
        ("band opens upward", "布林带向上张口"),
        ("band opens downward", "布林带向下张口"),
        ("RSI low", "RSI 偏低"),
        ("RSI high", "RSI 偏高"),
        ("J low", "J 值偏低"),
        ("J high", "J 值偏高"),
        ("K above D", "K 在 D 上方"),
        ("K below D", "K 在 D 下方"),
        ("averages in rising order", "均线多头排列"),
        ("averages in falling order", "均线空头排列"),
        ("close above its average", "收盘在均线上方"),
        ("close below its average", "收盘在均线下方"),
        ("average rising", "均线上行"),
        ("average falling", "均线下行"),
        ("rising body", "阳线实体"),
        ("falling body", "阴线实体"),
        ("bullish engulfing bar", "看涨吞没"),
        ("bearish engulfing bar", "看跌吞没"),
        ("three rising bars", "三连阳"),
        ("three falling bars", "三连阴"),
        ("hammer after a fall", "下跌后锤子线"),
        ("shooting star after a rise", "上涨后流星线"),
        ("lower low on rising momentum", "底背离"),
        ("higher high on falling momentum", "顶背离"),
        ("volume on rising bars", "阳线放量"),
        ("volume on falling bars", "阴线放量"),
        ("rise on high volume", "放量上涨"),
        ("fall on high volume", "放量下跌"),
    )
)
"""What the parts of an indicator family say, each followed by its points; see `signals.technical.parts`."""
STRATEGY_FAMILIES = tuple(
    Phrase(en, zh)
    for en, zh in (
        ("divergence", "背离"),
        ("moving_averages", "均线"),
        ("candlesticks", "K 线形态"),
        ("bollinger", "布林带"),
        ("volume_price", "量价"),
        ("kdj_rsi", "KDJ 与 RSI"),
        ("nothing", "无"),
    )
)

TOO_FEW_ROWS = Phrase(
    "Too few rows to say whether the {hours} h direction is forecast", "样本太少，无法判断能否预测 {hours} 小时方向"
)
NO_BETTER = Phrase("No better than a coin at {hours} h (AUC {auc})", "{hours} 小时方向不优于抛硬币（AUC {auc}）")
NOT_PROVEN = Phrase(
    "Not proven better than volatility alone at {hours} h (AUC {auc}, difference {difference})",
    "{hours} 小时方向未证明优于单用波动率（AUC {auc}，差值 {difference}）",
)
BETTER = Phrase(
    "Better than its baselines at {hours} h (AUC {auc}, over volatility alone {difference})",
    "{hours} 小时方向优于各基线（AUC {auc}，高于单用波动率 {difference}）",
)
NEVER_ACTS = Phrase(
    "it never acts, because no past tail of its forecasts clearly earned more than {cost:g} bps",
    "从不出手，因为历史预测的尾部没有一段收益明显超过 {cost} bps",
)
TOO_FEW_TRADES = Phrase(
    "{trades} trades are too few to say whether it pays after {cost:g} bps costs",
    "{trades} 笔交易太少，无法判断扣除 {cost} bps 成本后是否盈利",
)
PER_TRADE = Phrase(
    "{net:+.1f} bps per trade after {cost:g} bps costs, {trades} trades",
    "扣除 {cost} bps 成本后每笔 {net} bps，共 {trades} 笔",
)
PAYS = Phrase("it pays ({shown})", "扣除成本后盈利（{shown}）")
NOT_PROVEN_TO_PAY = Phrase(
    "it is not proven to pay ({shown}, interval reaches below zero)", "尚未证明盈利（{shown}，置信区间跨越零）"
)
DOES_NOT_PAY = Phrase("it does not pay ({shown})", "扣除成本后不盈利（{shown}）")
VERDICT = Phrase("{skill}; {pays}.", "{skill}；{pays}。")
UNKNOWN = Phrase("unknown", "未知")
