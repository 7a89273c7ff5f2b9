"""What is wrong with a series: gaps, refused and suspect rows, and the ledger that remembers them.

Belongs here: finding and remembering doubts. Does not belong: asking again for what is missing (`exchange.doors`).
"""
