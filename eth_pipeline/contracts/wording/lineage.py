"""What a lineage says: the names of its steps and facts, and the notes where something is not there.

Belongs here: the words in both languages; a test holds that every name of a lineage is here and none is unused. Does
not belong: following the references (`operations.lineage`), layout. JSON holds the names as they are.
"""

from eth_pipeline.contracts.wording.phrase import Phrase, PhraseBook
from eth_pipeline.settings import Language

NO_TABLE = Phrase("the table did not exist when the hour was decided", "作决策时该表还不存在")
UNREADABLE = Phrase("version {version:d} can no longer be read: {why}", "版本 {version} 已无法读取：{why}")
GONE = Phrase("no longer on this host: {why}", "已不在本机：{why}")
INTACT = Phrase("as fingerprinted", "与指纹一致")
CHANGED = Phrase("CHANGED since they were fingerprinted", "指纹之后被改动过")
NO_PROMOTION = Phrase(
    "no entry: the hour ran without a model, or it came from elsewhere",
    "没有记录：这一小时没有用模型，或模型来自别处",
)
NOT_RECORDED = Phrase("not recorded on this host", "本机没有记录")

STEPS = PhraseBook(
    Phrase(en, zh)
    for en, zh in (
        ("signal", "信号"),
        ("forecast", "模型预测"),
        ("consensus", "共识"),
        ("features", "特征"),
        ("klines", "K 线"),
        ("mark_klines", "标记价格"),
        ("model", "模型"),
        ("promotion", "晋升"),
        ("snapshot", "数据快照"),
        ("code", "代码"),
    )
)
"""Not in the book of all: a word as plain as `code` is no code elsewhere."""

FACTS = PhraseBook(
    Phrase(en, zh)
    for en, zh in (
        ("note", "说明"),
        ("table_version", "表版本"),
        ("rows", "行数"),
        # signal
        ("hour", "整点"),
        ("emitted_at", "发出时间"),
        ("state", "状态"),
        ("action", "动作"),
        ("reasons", "原因"),
        ("provenance", "数据来源"),
        # forecast, consensus, features, bars
        ("fingerprint", "指纹"),
        ("probability_up", "上涨概率"),
        ("direction", "方向"),
        ("strength", "强度"),
        ("coverage", "覆盖率"),
        ("clean", "无缺口"),
        ("values_sha256", "数值的 SHA-256"),
        ("newest_close_time", "最新收盘时间"),
        ("close", "收盘价"),
        ("known_at", "得知时间"),
        ("source", "获取途径"),
        # model
        ("version", "版本"),
        ("files", "文件"),
        ("algorithm", "算法"),
        ("verdict", "评语"),
        ("auc_{hours:d}h", "{hours} 小时 AUC"),
        ("trained_until", "训练截至"),
        ("trained_on", "训练所用表版本"),
        ("training_data_sha256", "训练数据的 SHA-256"),
        # promotion
        ("decision", "决定"),
        ("at", "时间"),
        ("log_line", "日志条目"),
        ("log_sha256", "日志条目的 SHA-256"),
        ("run", "运行"),
        ("reason", "理由"),
        # snapshot
        ("number", "编号"),
        ("sha256", "SHA-256 摘要"),
        ("node", "训练节点"),
        ("node_commit", "训练节点的提交"),
        ("node_runs", "训练节点的运行"),
        ("collection_sha256", "模型集的 SHA-256"),
        ("signed_with", "签名密钥"),
        ("imported_at", "导入时间"),
        ("mlflow_run", "MLflow 运行"),
        ("exported_at", "导出时间"),
        ("exported_tables", "导出的表版本"),
        # code
        ("commit", "提交"),
        ("configuration", "配置"),
        ("configuration_in_use_since", "配置启用时间"),
        ("phase", "阶段"),
    )
)


def step_name(name: str, language: Language) -> str:
    """A step's name for people."""
    return STEPS.said(name, language)


def fact_name(name: str, language: Language) -> str:
    """A fact's name for people."""
    return FACTS.said(name, language)
