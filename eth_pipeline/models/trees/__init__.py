"""LightGBM: training in shared bins, quantile forests, and export to ONNX bit for bit.

Belongs here: what knows LightGBM. Does not belong: when it is trained (`models.walk_forward`), proving the export
(`models.parity`).
"""
