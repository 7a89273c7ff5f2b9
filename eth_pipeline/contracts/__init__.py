"""What every row, file and record of the system is: time, tables, model bundle, signal.

Belongs here: definitions that two planes must agree on. Does not belong: reading, writing, deciding.

`clock` has the words for instants; `table` what a table is, `tables` those of market data, `quality` those of doubts
about it, `model_tables` those of models; `artifact` the model bundle; `signal` the hourly record and its tables;
`listening` where a server may listen.
"""
