"""Forecasters and their honest evaluation: folds, metrics, training, ONNX export."""
