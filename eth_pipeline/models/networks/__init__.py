"""Sequence models: what an LSTM and a Temporal Fusion Transformer share, and what they are.

Belongs here: windows, inputs, layers, the one training loop, the export. Does not belong: folds, calibration, figures;
nothing outside this folder knows that torch exists.

`lstm` and `tft` are light; the modules with torch at their top (`input_layer`, `tft_layers`, `lstm_network`,
`tft_network`, `training`, `fitted`, `export`) are imported by functions, when something is trained.
"""
