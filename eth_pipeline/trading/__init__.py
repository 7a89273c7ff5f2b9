"""The paper account: fills, funding, stops, and the ledger they are written to.

Belongs here: what would have become of money that followed the signals. Does not belong: what to want and how much
(`signals`), orders at an exchange: there are none.

`timeline` is the course of an hour, `book` what can happen in it, `fills` the arithmetic, `risk` the limits, `ledger`
the events and the account they add up to. `account` is the hourly step, `rebuild` the same for the past;
`performance`, `trades` and `tear_sheet` read a ledger and say how it went.
"""
