"""`python -m eth_pipeline` is `eth-pipeline`."""

from eth_pipeline.cli import app

app()
