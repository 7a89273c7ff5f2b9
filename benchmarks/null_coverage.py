"""How often the intervals of every model hold one half where nothing can be known: do they cover what they say?

    python benchmarks/null_coverage.py [seeds=12] [rows=10000] [refit_every_hours=3800]

Two markets per seed (a random walk, and labels dealt out anew), four algorithms, the AUC of sign and of the moves that
pay. Seeds count from 0. Prints, per market and algorithm, how many intervals at 95 % held one half and how far the
figures lay from it, as the root mean square in standard deviations of the bootstrap: 1 where it says the truth. Last,
how many seeds had no miss at all at the level of the test suite. Rows and refits default to those of the suite; of
4,000 rows with a refit every 1,200 hours 11 weeks are scored, too few for a bootstrap of weeks.
"""

import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.figure import print_figure
from eth_pipeline.models.walk_forward import walk_forward
from eth_pipeline_tests.null_markets import EVERY, MARKETS, ROWS, SETTINGS, auc_intervals, holds_one_half, null_market
from eth_pipeline_tests.planted_history import VOLATILITY
from eth_pipeline_tests.test_models_null_markets import FAMILY_SHARE

_NORMAL_95 = statistics.NormalDist().inv_cdf(0.975)


def main(*, seeds: int, rows: int, refit_every_hours: int) -> None:
    settings = SETTINGS.model_copy(update={"refit_every_hours": refit_every_hours})
    missed_seeds, held, deviations = set(), {}, {}
    for seed in range(seeds):
        for market in MARKETS:
            data = null_market(market, seed=seed, rows=rows)
            for forecaster in EVERY:
                oof = walk_forward(data, forecaster, settings=settings, volatility_feature=VOLATILITY).oof
                case = f"{market}, {forecaster.algorithm}"
                for stated in auc_intervals(oof, share=0.95).values():
                    held.setdefault(case, []).append(holds_one_half(stated))
                    sigma = (stated.high - stated.low) / (2 * _NORMAL_95)
                    deviations.setdefault(case, []).append((stated.value - 0.5) / sigma)
                if not all(map(holds_one_half, auc_intervals(oof, share=FAMILY_SHARE).values())):
                    missed_seeds.add(seed)
    for case, found in held.items():
        spread = statistics.fmean(each**2 for each in deviations[case]) ** 0.5
        print(f"{case}: {sum(found)} of {len(found)} intervals at 95 % hold one half, deviations of {spread:.2f} sd")
    total = [each for found in held.values() for each in found]
    print(f"all: {sum(total)} of {len(total)} ({sum(total) / len(total):.1%})")
    print(f"{seeds - len(missed_seeds)} of {seeds} seeds have no miss at {FAMILY_SHARE:.4f}")
    print_figure(f"intervals at 95 % that hold one half, {seeds} seeds", 100 * sum(total) / len(total), "%")


if __name__ == "__main__":
    given = dict(argument.split("=", 1) for argument in sys.argv[1:])
    main(
        seeds=int(given.get("seeds", "12")),
        rows=int(given.get("rows", str(ROWS))),
        refit_every_hours=int(given.get("refit_every_hours", str(SETTINGS.refit_every_hours))),
    )
