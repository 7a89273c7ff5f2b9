"""Technical analysis: six indicator families per timeframe, and their consensus over timeframes.

Belongs here: what closed bars alone say. Does not belong: forecasts (`signals.forecasting`), what is done about either
(`signals.decision`).
"""
