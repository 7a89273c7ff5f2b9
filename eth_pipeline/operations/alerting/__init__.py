"""Alerts: what is wrong now, told once, told again when it is over, and never lost.

Belongs here: kinds, the book of conditions and undelivered messages, delivery, the rules. Does not belong: when they
are evaluated (a Dagster sensor, the dead-man's switch).
"""
