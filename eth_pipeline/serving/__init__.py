"""The inference service: the verified production bundle behind MLflow's scoring protocol.

Belongs here: listening, who may come in, answering with the local forecaster. Does not belong: asking it
(`signals.forecasting.remote`), what a bundle is (`registry`).
"""
