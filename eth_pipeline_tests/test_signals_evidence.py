"""The evidence of one hour, read at the point of use: nothing old and nothing of another bundle ever counts."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from eth_pipeline.contracts.artifact import DataVersions, FeatureInput, HorizonModel, feature_schema_digest
from eth_pipeline.contracts.signal import CONSENSUS, FORECASTS, ReasonCode, SignalState
from eth_pipeline.contracts.tables import FUNDING_RATES, KLINES, MARK_KLINES
from eth_pipeline.errors import BundleAbsent
from eth_pipeline.features.build import DEFINITION_VERSION, feature_names, features_contract
from eth_pipeline.lake import Lake
from eth_pipeline.registry.bundle import attach_decision, fingerprint, verify_bundle, write_bundle
from eth_pipeline.registry.decision import decide
from eth_pipeline.registry.production import point_to
from eth_pipeline.registry.signing import create_key_pair
from eth_pipeline.settings import GateSettings, Settings
from eth_pipeline.signals.evidence import (
    KILL_SWITCH,
    Evidence,
    compute_consensus,
    compute_forecasts,
    load_evidence,
    running_schema,
)
from eth_pipeline_tests.decision_samples import HOUR, NOON, bars, funding, mark_bars, sample_settings, walk
from eth_pipeline_tests.registry_maker import data_versions, report
from eth_pipeline_tests.registry_maker import contract as sample_contract
