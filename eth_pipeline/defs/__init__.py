"""The thin Dagster layer: assets, checks, jobs, schedules, sensors over the packages below."""
