"""Binance ETH/USDT market data to hourly trading signals, as Dagster assets.

The folders in flow order: `contracts` (what every row, artifact and signal is), `exchange` (the way in),
`features` and `labels`, `models`, `registry` (the way to production), `signals`, `trading`, `operations`;
`defs` is the thin Dagster layer over them and `sandbox` the embedded exchange that tests and demos talk to.
"""

__version__ = "0.1.0"
