"""What every row, file and record of the system is: time, tables, model bundle, signal.

Belongs here: definitions that two planes must agree on. Does not belong: reading, writing, deciding.
"""
