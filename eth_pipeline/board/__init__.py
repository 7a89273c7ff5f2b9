"""The board: read-only pages and a JSON API about what this host signals, and how it got there.

Belongs here: reading a home and showing it. Does not belong: anything that writes, decides or asks the exchange, the
words of the labels (`contracts.wording`). A request goes `server` > `application` > `door` (may this client look?) >
`pages` or `api` > `source` (what is read) and leaves through `answers`.
"""
