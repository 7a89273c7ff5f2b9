"""`config show`: the whole configuration, and never a password."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from eth_pipeline.cli import app
from eth_pipeline.settings import Settings

SECRETS = {
    "ETH_PIPELINE_POSTGRES_URL": "postgresql://ann:hunter2@db.example/dagster",
    "ETH_PIPELINE_MLFLOW_TRACKING_URI": "https://ann:hunter2@mlflow.example",
    "ETH_PIPELINE_LAKE_URL": "s3://ann:hunter2@bucket/lake",
}
