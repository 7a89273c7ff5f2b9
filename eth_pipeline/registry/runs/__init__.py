"""What training leaves behind: MLflow runs with figures and plots, every configuration tried, vintages.

Belongs here: records of trainings. Does not belong: judging them (`registry.promotions`).
"""
