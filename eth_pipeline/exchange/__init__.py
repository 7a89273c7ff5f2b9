"""The way in: market data from Binance, or from the embedded exchange, into the lake.

Belongs here: everything between an HTTP answer and a row of `contracts.tables`. Does not belong: judging how fresh
rows are (`signals.gating.freshness`), computing with them (`features`).

`ingest` brings a stream up to date. What a stream is stands in `streams`; one symbol goes through the `doors`: `plan`
says which part of a hole the `archive` has and which REST (`pages`). Both send through `http.transport`, which asks
`http.guard` first; `formats` makes rows of the answers; what is wrong with them goes from `doubts.findings` and
`doubts.suspects` to `doubts.ledger` and `doubts.quarantine`.
"""
