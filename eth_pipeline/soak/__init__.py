"""The time-lapse soak: weeks of hourly operation against the embedded exchange, with everything failing on schedule.

Belongs here: the schedule of troubles, driving hours, invariants, the report. Does not belong: any step of the hour.
"""
