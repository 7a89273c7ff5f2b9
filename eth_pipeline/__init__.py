"""Binance ETH/USDT market data to hourly trading signals, as Dagster assets.

The folders in flow order: `contracts` (what every row, artifact and signal is), `exchange` (the way in, to the
`lake`), `features` and `labels`, `models`, `registry` (the way to production), `signals`, `trading`, `operations`;
`board` and `serving` answer over HTTP. `defs` is the thin Dagster layer over them, `cli` the commands; `sandbox` is
the embedded exchange that tests and demos talk to, `soak` the time-lapse that drives everything against it.
docs/architecture.md has the layers.
"""

import gc
import os

__version__ = "0.1.0"

# OpenMP threads that spin while they wait starve each other as soon as two processes train on the same cores:
# 150 trees on 12,000 x 200 took 13.5 s instead of 1.6 s on a busy two-core host. Read when libgomp is loaded,
# so it must be set before LightGBM is imported; an operator's own value stands.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# By default Python looks for unreachable cycles after every 700 new containers. What our processes load makes them by
# the hundred thousand, and all of them stay: looking took 1.15 s of the 5.3 s of a core that loading Dagster, LightGBM,
# torch and MLflow took, now 0.41 s, at the same peak of memory (2026-11-23).
gc.set_threshold(10_000)
