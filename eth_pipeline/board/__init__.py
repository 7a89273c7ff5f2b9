"""The board: read-only pages and a JSON API about what this host signals, and how it got there.

Belongs here: reading a home and showing it. Does not belong: anything that writes, decides or asks the exchange, the
words of the labels (`contracts.wording`).

    reading    what a home holds, read anew at every request
    showing    what is made of it: pages, drawings, JSON, metrics
    web        who may ask, and the answer over HTTP

Each knows only those above it. A request goes `web.server` > `web.application` > `web.door` (may this client look?) >
`web.pages` or `web.api` > `reading.source` (what is read) > `showing`, and leaves through `web.answers`.
"""
