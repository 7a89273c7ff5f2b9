"""`eth-pipeline vintages` and `search`: many trainings by a crew of workers.

Belongs here: arguments, tasks, workers. Does not belong: one training (`models`).
"""
