"""The board: read-only pages and a JSON API about what this host signals, and how it got there.

Belongs here: who may look, reading what others stored, showing it. Does not belong: writing anything, the words of the
labels (`contracts.wording`).
"""
