"""The way in: market data from Binance, or from the embedded exchange, into the lake.

Belongs here: everything between an HTTP answer and a row of `contracts.tables`. Does not belong: judging how fresh
rows are (`signals.gating.freshness`), computing with them (`features`).

`ingest` brings a stream up to date. What a stream is stands in `streams`; one symbol goes through the `doors`: `plan`
says which part of a hole (`gaps`) the `archive` has and which REST (`pages`); both send through `transport`, which
asks the `guard` first. Parsers, one per kind: `bars`, `funding`, `open_interest`, `positioning`. What was wrong goes
from `findings` and `suspects` to `ledger` and `quarantine`.
"""
