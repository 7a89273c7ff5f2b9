"""The embedded exchange: real paths and formats over loopback HTTP, synthetic or replayed markets, faults on demand.

Belongs here: being an exchange. Does not belong: anything of the pipeline but `contracts`, `errors` and `settings`;
what reads it must not share its parsers or its mistakes.

A market (`synthetic` from `paths`, or `replay`) has rows; `view` shows those that are visible at the virtual `clock`,
with `faults` laid over them; `rest` and `archive` write them as Binance does; `exchange` is one HTTP answer, `server`
the socket.
"""
