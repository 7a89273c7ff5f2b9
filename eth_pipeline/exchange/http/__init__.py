"""One request to the exchange: budget, breaker, patience, the wire, and what the host remembers of it.

Belongs here: how a request is sent or held back. Does not belong: what an answer means (`exchange.formats`).
"""
