"""What the exchange publishes, as rows: parsers of REST JSON and archive CSV, one per kind.

Belongs here: names, columns and times of the exchange. Does not belong: fetching (`exchange.http`), storing
(`exchange.ingest`).
"""
