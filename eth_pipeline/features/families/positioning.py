"""Who holds what: long/short ratios of all accounts and of top traders, and the taker ratio beside them.

Belongs here: anything from the exchange's positioning ratios. Does not belong: taker volume of the bars
(`order_flow`), open interest. A ratio enters as its logarithm, so that twice as many longs and twice as many shorts
are equally far from balance. Recorded history often has no ratios: then every feature here is null.
"""

import polars as pl

from eth_pipeline.features import rolling
from eth_pipeline.features.definition import Family, Feature
from eth_pipeline.features.families.momentum import change

c = pl.col
_RATIOS = {
    "accounts": ("account_ratio", "Longs over shorts among all accounts"),
    "top_accounts": ("top_account_ratio", "Longs over shorts among top traders' accounts"),
    "top_positions": ("top_position_ratio", "Longs over shorts of top traders' positions"),
    "taker": ("taker_ratio", "Taker buys over sells of the last five minutes"),
}


def family() -> Family:
    """All features of this family; columns `log_accounts` and so on are shared."""
    logs = [pl.when(c(column) > 0).then(c(column).log()).alias(f"log_{name}") for name, (column, _) in _RATIOS.items()]
    features = [feature for name, (_, words) in _RATIOS.items() for feature in _ratio(name, words)]
    return Family("positioning", (*features, *_differences(), *_divergences()), tuple(logs))


def _ratio(name: str, words: str) -> list[Feature]:
    log = c(f"log_{name}")
    return [
        Feature(f"positioning_{name}", log, "log ratio", f"{words}."),
        *[
            Feature(
                f"positioning_{name}_change_{h}h",
                change(f"log_{name}", h),
                "log ratio",
                f"{words}: change over {h} hours.",
            )
            for h in (1, 4, 24)
        ],
        Feature(
            f"positioning_{name}_zscore_168h", rolling.zscore(log, 168), "deviations", f"{words}, against its 7 days."
        ),
    ]


def _differences() -> list[Feature]:
    top_minus_all = c("log_top_positions") - c("log_accounts")
    return [
        Feature(
            "positioning_top_minus_all", top_minus_all, "log ratio", "Top traders' positions over all accounts' ratio."
        ),
        Feature(
            "positioning_top_minus_all_change_24h",
            change("log_top_positions", 24) - change("log_accounts", 24),
            "log ratio",
            "Change of top traders' positions over all accounts' ratio in a day.",
        ),
        Feature(
            "positioning_top_minus_all_zscore_168h",
            rolling.zscore(top_minus_all, 168),
            "deviations",
            "Top traders' positions over all accounts' ratio, against its 7 days.",
        ),
        Feature(
            "positioning_top_size",
            c("log_top_positions") - c("log_top_accounts"),
            "log ratio",
            "Top traders' ratio by positions over the same by accounts: above zero where the larger ones are long.",
        ),
        Feature(
            "positioning_taker_24h",
            rolling.running_mean(c("log_taker"), 24),
            "log ratio",
            "Mean of the log taker ratio over 24 hours, five minutes of each.",
        ),
    ]


def _divergences() -> list[Feature]:
    return [
        Feature(
            f"positioning_{name}_price_divergence_24h",
            rolling.zscore(change(f"log_{name}", 24), 336) - c("move_zscore_24h"),
            "deviations",
            f"{_RATIOS[name][1]}: 24-hour change minus 24-hour return, each against its last 14 days.",
        )
        for name in ("accounts", "top_positions")
    ]
