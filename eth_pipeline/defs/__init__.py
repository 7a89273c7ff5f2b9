"""The thin Dagster layer: assets, checks, jobs, schedules, sensors over the packages below."""

import warnings

import dagster as dg

# `backfill_policy` is in beta in 1.13; the version is pinned, so the warning at every start says nothing new.
warnings.filterwarnings("ignore", category=dg.BetaWarning, message=".*backfill_policy.*")
